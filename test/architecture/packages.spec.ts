import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(__dirname, '../..');
const read = (file: string) => readFileSync(join(root, file), 'utf8');

interface Manifest {
  scripts: Record<string, string>;
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
  optionalDependencies?: Record<string, string>;
}
const manifest = JSON.parse(read('package.json')) as Manifest;
const dependencies = { ...manifest.dependencies, ...manifest.devDependencies, ...manifest.optionalDependencies };
const lock = JSON.parse(read('package-lock.json')) as { packages: Record<string, { resolved?: string; integrity?: string }> };
const locked = Object.entries(lock.packages).filter(([path]) => path !== '');

/** The packages that the platform was asked to be built of. */
const CARD = [
  '@nestjs/core',
  '@nestjs/cqrs',
  '@nestjs/terminus',
  '@mikro-orm/core',
  '@mikro-orm/postgresql',
  'pgvector',
  '@nestjs/cache-manager',
  'cache-manager-redis-yet',
  '@willsoto/nestjs-prometheus',
];
const TOP_LEVEL = 'package.json tsconfig.json nest-cli.json apps libs migrations test docker-compose.yml'.split(' ');

/** What the production sources import, types left aside: they vanish. */
function importedPackages(): Set<string> {
  const files = ['apps', 'libs']
    .flatMap((folder) => readdirSync(join(root, folder), { recursive: true }).map((file) => join(folder, String(file))))
    .filter((file) => file.endsWith('.ts') && !file.endsWith('spec.ts'));
  const imports = files.flatMap((file) => [
    ...read(file).matchAll(/^(?:import|export) (?!type )[^;]*?from '([^'.][^']*)';$/gms),
  ]);
  return new Set(imports.map(([, name]) => /^(@[^/]+\/)?[^/]+/.exec(name!)![0]));
}

describe('packages', () => {
  it.each(CARD)('DC-1 %s is a dependency, and is used', (name) => {
    expect(manifest.dependencies).toHaveProperty([name]);
    expect(importedPackages()).toContain(name);
  });

  it('DC-1 jest runs the tests', () => {
    expect(dependencies).toHaveProperty('jest');
    expect(manifest.scripts['test']).toContain('node_modules/jest/');
  });

  it.each(TOP_LEVEL)('DC-1 %s is at the top', (name) => {
    expect(existsSync(join(root, name))).toBe(true);
  });

  it('DEP-1 there is no prisma', () => {
    expect(locked.map(([path]) => path).filter((path) => /(^|\/)@?prisma(\/|$)/.test(path))).toEqual([]);
    expect([...importedPackages()].filter((name) => name.includes('prisma'))).toEqual([]);
  });

  it('versions are exact, and the lock has a checksum of each package and the address of none', () => {
    expect(Object.entries(dependencies).filter(([, version]) => !/^(npm:[\w-]+@)?\d+\.\d+\.\d+$/.test(version))).toEqual([]);
    expect(locked.length).toBeGreaterThan(300);
    expect(locked.filter(([, { resolved }]) => resolved !== undefined)).toEqual([]);
    expect(locked.filter(([, { integrity }]) => integrity === undefined).map(([path]) => path)).toEqual([]);
  });
});
