import { MigrationFiles } from '../../libs/platform/src/migrations/migration-files';
import { missingWaysBack, unusedExceptions } from '../../libs/platform/src/migrations/lint';
import { rehearse } from '../../libs/platform/src/migrations/plan';
import { createTestDatabase } from '../support/database';

const NOTHING = { executed: [], backfill: [], contract: [], left: {} };

async function planOf(files: MigrationFiles) {
  const empty = await createTestDatabase({ empty: true });
  try {
    return await rehearse({ url: empty.adminUrl, embedded: false }, files, { ...NOTHING, pending: files.names() });
  } finally {
    await empty.drop();
  }
}

describe('Migrations, as they are linted', () => {
  it('TM-5 are safe while the application is in use, or say why they need not be', async () => {
    const files = new MigrationFiles();
    const plan = await planOf(files);
    expect(plan.squawk).toBe(true);
    expect(plan.findings.filter(({ onPurpose }) => onPurpose === undefined)).toEqual([]);
    expect(files.names().flatMap((name) => unusedExceptions(files.script(name, 'up'), plan.findings))).toEqual([]);
    expect(missingWaysBack(files)).toEqual([]);
  });
});
