import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CORE_SCHEMA, load, mergeTag } from 'js-yaml';

const root = join(__dirname, '../..');
const read = (file: string) => readFileSync(join(root, file), 'utf8');

interface Service {
  build?: string | { context: string; dockerfile: string };
  profiles?: string[];
  environment?: Record<string, string>;
  volumes?: string[];
  depends_on?: string[] | Record<string, unknown>;
  hostname?: string;
}
interface Compose {
  services: Record<string, Service>;
  volumes: Record<string, unknown>;
}

/** There is no Docker where the tests run: what can be said without. `npm run torture -- compose` starts it. */
describe('docker-compose.yml', () => {
  const text = read('docker-compose.yml');
  const { services, volumes } = load(text, { schema: CORE_SCHEMA.withTags(mergeTag) }) as Compose;
  const all = Object.entries(services);
  const ofProfile = (wanted: string) => all.filter(([, { profiles }]) => profiles?.includes(wanted)).map(([name]) => name);
  const withVariables = (file: string) => [...new Set([...read(file).matchAll(/\$\{(\w+)/g)].map(([, name]) => name!))];

  it('names files, volumes and services that are there', () => {
    for (const [name, { build, volumes: mounted = [], depends_on: needed = [] }] of all) {
      const dockerfile = typeof build === 'object' ? build.dockerfile : 'Dockerfile';
      const sources = mounted.map((mount) => mount.split(':')[0]!);
      const files = sources.filter((source) => source.startsWith('.'));
      expect({ name, missing: [dockerfile, ...files].filter((file) => !existsSync(join(root, file))) }).toEqual({
        name,
        missing: [],
      });
      const kept = sources.filter((source) => !source.startsWith('.'));
      expect({ name, unknown: kept.filter((volume) => !(volume in volumes)) }).toEqual({ name, unknown: [] });
      const others = Array.isArray(needed) ? needed : Object.keys(needed);
      expect({ name, unknown: others.filter((other) => !(other in services)) }).toEqual({ name, unknown: [] });
    }
  });

  it('takes from .env what .env.example has', () => {
    const example = read('.env.example');
    const ours = withVariables('docker-compose.yml').filter((name) => name !== 'LOG_LEVEL');
    expect(ours.filter((name) => !example.includes(`\n${name}=`))).toEqual([]);
  });

  it('SC-2 has a profile with etcd, three servers under Patroni and HAProxy, which is given all that its configuration asks for', () => {
    const servers = ['postgres-1', 'postgres-2', 'postgres-3'];
    expect(ofProfile('ha')).toEqual(['etcd', ...servers, 'haproxy']);
    const given = services['haproxy']!.environment!;
    const optional = /^PATRONI_\d_PORT$/; // 8008, as below
    const asked = withVariables('deploy/haproxy/haproxy.cfg').filter((name) => !optional.test(name));
    expect(Object.keys(given).sort()).toEqual(asked.sort());
    for (const [index, name] of servers.entries()) {
      const { environment, hostname } = services[name]!;
      expect(hostname).toBe(name);
      expect(environment).toMatchObject({
        PATRONI_NAME: name,
        PATRONI_POSTGRESQL_CONNECT_ADDRESS: given[`POSTGRES_${index + 1}`],
        PATRONI_RESTAPI_CONNECT_ADDRESS: `${given[`PATRONI_${index + 1}`]}:8008`,
      });
    }
  });

  it.each([
    ['Dockerfile', '.dockerignore'],
    ['deploy/patroni/Dockerfile', 'deploy/patroni/Dockerfile.dockerignore'],
  ])('SC-2 %s copies files that are there, and %s lets them in', (dockerfile, ignore) => {
    const lines = [...read(dockerfile).matchAll(/^COPY (?!--from)(.*) \S+$/gm)];
    const copied = [...new Set(lines.flatMap(([, files]) => files!.split(' ')))];
    const allowed = read(ignore)
      .split('\n')
      .filter((line) => line.startsWith('!'));
    expect(copied.filter((file) => !existsSync(join(root, file)))).toEqual([]);
    expect(allowed.map((line) => line.slice(1)).sort()).toEqual(copied.sort());
  });
});
