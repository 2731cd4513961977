import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
  }, 60_000);

  it('TM-5 are found unsafe by what they do, with the line and the safe way', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'studently-lint-'));
    cpSync(new MigrationFiles().folder, folder, { recursive: true });
    const planted: [rule: string, line: number, text: string][] = [
      ['table-rewrite', 2, '-- Why.\nalter table progress add column a uuid not null default uuid_generate_v4();'],
      ['scan-under-lock', 1, `do $$ begin execute 'alter table progress add constraint b check (score >= 0)'; end $$;`],
      ['rows-in-migration', 1, 'update progress set score = score;'],
      ['many-locks', 2, 'alter table progress add column c text;\nalter table chats add column c text;'],
      ['constraint-missing-not-valid', 1, 'alter table progress add constraint d check (score >= 0);'],
      ['require-concurrent-index-creation', 1, 'create index planted on progress (score);'],
      ['adding-required-field', 1, 'alter table progress add column e text not null;'],
      ['ban-drop-column', 4, '-- step\nselect 1;\n-- step\nalter table chats drop column pinned_at;'],
      ['takes-away', 1, 'drop function find_login;'],
      ['renaming-column', 1, 'alter table chats rename column archived_at to put_away_at;'],
    ];
    const nameOf = (rule: string) =>
      `9${String(planted.findIndex(([each]) => each === rule)).padStart(3, '0')}_${rule.replaceAll('-', '_')}`;
    for (const [rule, , text] of planted) {
      for (const part of ['up', 'down']) writeFileSync(join(folder, `${nameOf(rule)}.${part}.sql`), text);
    }
    const files = new MigrationFiles(folder);
    const empty = await createTestDatabase({ empty: true });
    try {
      const [executed, pending] = [files.names().filter((name) => name < '9'), files.names().filter((name) => name >= '9')];
      const plan = await rehearse({ url: empty.adminUrl, embedded: false }, files, { ...NOTHING, executed, pending });
      for (const [rule, line] of planted) {
        const file = `${nameOf(rule)}.up.sql`;
        const found = plan.findings.filter((finding) => finding.file === file);
        expect(found.map(({ rule: each }) => each)).toContain(rule);
        expect(found.find((each) => each.rule === rule)).toMatchObject({
          code: 'MIGRATION_UNSAFE',
          line,
          safeWay: expect.stringContaining(' '),
        });
      }
      const [rewrite] = plan.migrations;
      expect(rewrite!.up!.statements).toMatchObject([
        { rewrites: ['progress'], locks: expect.arrayContaining([{ table: 'progress', mode: 'AccessExclusiveLock' }]) },
      ]);
    } finally {
      await empty.drop();
      rmSync(folder, { recursive: true, force: true });
    }
  }, 60_000);

  it('TM-5 that go by steps are found safe', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'studently-lint-'));
    cpSync(new MigrationFiles().folder, folder, { recursive: true });
    cpSync(join(__dirname, '../torture/migrations/next'), folder, { recursive: true });
    const files = new MigrationFiles(folder);
    const empty = await createTestDatabase({ empty: true });
    try {
      const [executed, pending] = [files.names().filter((name) => name < '9'), files.names().filter((name) => name >= '9')];
      const plan = await rehearse({ url: empty.adminUrl, embedded: false }, files, { ...NOTHING, executed, pending });
      expect(plan.findings).toEqual([]);
      expect(plan.migrations[0]).toMatchObject({
        backfill: { table: 'chats', keys: ['user_id', 'id'] },
        contract: { file: '9001_folded_titles.contract.sql' },
      });
      expect(missingWaysBack(files)).toEqual([]);
    } finally {
      await empty.drop();
      rmSync(folder, { recursive: true, force: true });
    }
  }, 60_000);
});
