import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MigrationFiles } from '../../../libs/platform/src/migrations/migration-files';
import { Migrations } from '../../../libs/platform/src/migrations/migrations';
import { ApiProcess } from '../../support/api-process';
import { createTestDatabase } from '../../support/database';
import { HttpClient, newLearner } from '../../support/http';
import { distOf } from '../harness/release';
import { TortureContext } from '../harness/torture';
import { NONE, Stage } from '../migrations.torture';
import { makeNextRelease } from './next-release';

describe('Two releases', () => {
  it('TM-4 the next one refuses the schema before it, and the one before serves on the schema of the next', async () => {
    const [database, folder] = [await createTestDatabase(), mkdtempSync(join(tmpdir(), 'studently-next-'))];
    const next = makeNextRelease(join(folder, 'next'), ['next']);
    const settings = { DATABASE_URL: database.url, REDIS_URL: process.env['TEST_REDIS_URL'], LOG_ACCESS: 'false' };
    try {
      const refused = await ApiProcess.run(settings, 'api', distOf(next));
      expect([refused.code, refused.output]).toEqual([78, expect.stringContaining('DB_MIGRATIONS_PENDING')]);
      const target = { url: database.adminUrl, embedded: false };
      const migrations = new Migrations(target, {}, new MigrationFiles(join(next, 'migrations')));
      expect(await migrations.up()).toEqual(['9001_folded_titles']);
      const before = await ApiProcess.start(settings);
      try {
        expect(before.log).toContain('1 migration(s) ahead');
        const { http } = await newLearner(new HttpClient(before.url));
        const isServed = async () => {
          const chat = await http.post('/v1/chats', { title: 'Photosynthesis' });
          const said = await http.post(`/v1/chats/${chat.body.id}/messages`, { role: 'user', content: 'Why?' });
          const renamed = await http.patch(`/v1/chats/${chat.body.id}`, { title: 'Leaves' });
          const found = await http.get('/v1/chats?title=leaves');
          const gone = await http.delete(`/v1/chats/${chat.body.id}`);
          return [chat, said, renamed, found, gone].map(({ status }) => status);
        };
        expect(await isServed()).toEqual([201, 201, 200, 200, 204]);
        await migrations.backfill();
        expect(await migrations.contract()).toEqual(['9001_folded_titles']);
        expect(await isServed()).toEqual([201, 201, 200, 200, 204]);
      } finally {
        await before.stop('SIGKILL');
      }
    } finally {
      await database.drop();
      rmSync(folder, { recursive: true, force: true });
    }
  }, 180_000);

  it.each([
    ['a lock that is held for long', 'planted/lock', /for \d+ ms: AccessExclusiveLock of chats held by/],
    ['a column that the release before misses', 'planted/column', /was answered by 500/],
  ])(
    'TM-5 %s is found by the torture',
    async (_, planted, fault) => {
      const context = new TortureContext(1, 1);
      try {
        const stage = await Stage.open(context, [planted]);
        await sleep(300); // some requests before
        expect(await stage.studently(['up'])).toMatchObject({ code: 0 });
        await sleep(300); // and after
        await stage.settled({ ...NONE }, 'what was planted');
        await stage.close();
        expect(context.told.join('\n')).toMatch(fault);
      } finally {
        await context.close();
      }
    },
    180_000,
  );
});
