import { join } from 'node:path';
import * as freshness from '../freshness.torture';
import { TortureContext } from '../harness/torture';

const FILE = join(__dirname, 'planted-bugs.cjs');
const bugs = require(FILE) as string[];

/** Without a bug, a million operations find nothing. */
const MOST_OPERATIONS = 30_000;

describe('A bug that is planted into the processes', () => {
  it.each(bugs)(
    'TI-5 is found: %s',
    async (bug) => {
      const context = new TortureContext(MOST_OPERATIONS, 1);
      const settings = { NODE_OPTIONS: `-r ${FILE}`, PLANTED_BUG: bug };
      try {
        await freshness.run(context, { settings, untilFound: true });
        expect(context.violations).toBeGreaterThan(0);
      } finally {
        await context.close();
      }
    },
    180_000,
  );
});
