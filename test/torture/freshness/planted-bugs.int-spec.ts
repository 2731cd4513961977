import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { readAndWrite } from '../freshness.torture';
import { changeText, distOf, makeRelease } from '../harness/release';
import { TortureContext } from '../harness/torture';
import { Stage } from './stage';

const FILE = join(__dirname, 'planted-bugs.cjs');
const bugs = Object.entries(require(FILE) as Record<string, string[]>);

/** Without a bug, a million operations find nothing. */
const MOST_OPERATIONS = 30_000;

/** Of whose API PLANTED_BUG names the bug. */
function makeReleaseWithBugs(folder: string): string {
  return makeRelease(folder, ['api'], () => {
    const file = join(folder, 'test/torture/freshness/planted-bugs.cjs');
    cpSync(FILE, file);
    changeText(
      join(distOf(folder), 'apps/api/src/main.js'),
      '"use strict";',
      `"use strict"; require(${JSON.stringify(file)});`,
    );
  });
}

describe('A bug that is planted into the processes', () => {
  const context = new TortureContext(MOST_OPERATIONS, 1);
  let stage: Stage;
  beforeAll(async () => {
    const release = makeReleaseWithBugs(join(context.folder, 'release'));
    stage = await Stage.open(context, 2, {}, distOf(release));
  });
  afterAll(() => context.close());

  it.each(bugs)(
    'TI-5 is found: %s',
    async (bug, troubles) => {
      const before = context.violations;
      await stage.restartWith({ PLANTED_BUG: bug });
      await readAndWrite(stage, { troubles, untilFound: true });
      expect(context.violations).toBeGreaterThan(before);
    },
    180_000,
  );
});
