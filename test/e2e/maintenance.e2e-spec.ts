import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { analyze, partitions, reindex, repack, vacuum } from '@studently/operations';
import { OwnerSession } from '@studently/platform';
import { ADVISORY_LOCKS } from '../../libs/platform/src/persistence/advisory-locks';
import { ApiProcess, embedded } from '../support/api-process';
import { createTestDatabase, sql, type TestDatabase } from '../support/database';
import { describeServed } from '../support/served';
import { startRedis, withClient } from '../support/servers';
import { studently, StudentlyProcess } from '../support/studently';
import { until } from './support';

describeServed('studently maint', () => {
  let database: TestDatabase;
  let settings: NodeJS.ProcessEnv;
  const ada = randomUUID();
  const rows = <Row extends object>(text: string, values: unknown[] = []) => sql<Row>(database.adminUrl, text, values);

  beforeAll(async () => {
    database = await createTestDatabase();
    // As deploy/postgres/logins.sh makes it: no superuser, may act as the owner.
    const login = `migrator_${randomUUID().slice(0, 8)}`;
    await rows(`create role ${login} login nobypassrls password '${login}'; grant studently_owner to ${login}`);
    const migrationUrl = Object.assign(new URL(database.adminUrl), { username: login, password: login }).href;
    settings = { DATABASE_URL: database.url, DATABASE_MIGRATION_URL: migrationUrl };
    await rows(`insert into users (id, email, password_hash) values ('${ada}', 'ada@example.org', '$argon2id$x')`);
    // Nobody else tidies up or gathers statistics meanwhile.
    for (const table of ['progress', 'published_passages']) await rows(`alter table ${table} set (autovacuum_enabled = off)`);
  }, 60_000);
  afterAll(() => database?.drop());

  const asOwner = <T>(work: (session: OwnerSession) => Promise<T>, url = settings['DATABASE_MIGRATION_URL']!) =>
    OwnerSession.run({ url, embedded: false }, work);
  const tidied = (table: string, dryRun = false) => asOwner((session) => vacuum(session, [table], { dryRun }));
  const rebuilt = (names: string[] = [], dryRun = false) => asOwner((session) => reindex(session, names, { dryRun }));
  const addProgress = (count: number, userId = ada) =>
    rows(
      `insert into progress (user_id, category, score) select $1, 'algebra', nr % 100 from generate_series(1, ${count}) nr`,
      [userId],
    );

  /** Learners who read and write all the time. @returns what they have done, and what has failed */
  async function underLoad<T>(work: () => Promise<T>): Promise<{ result: T; done: number; failures: string[] }> {
    let [isOver, done] = [false, 0];
    const failures: string[] = [];
    const learner = () =>
      withClient(database.url, async (client) => {
        while (!isOver) {
          try {
            await client.query(
              `begin; set local role studently_app; set local app.user_id = '${ada}'; set local lock_timeout = '3s'`,
            );
            const { rows: made } = await client.query<{ id: string }>(
              `insert into progress (user_id, category, score) values ($1, 'load', 1) returning id`,
              [ada],
            );
            await client.query('update progress set score = 2 where user_id = $1 and id = $2', [ada, made[0]!.id]);
            await client.query(
              `select * from progress where user_id = $1 and category = 'load' order by "timestamp" desc limit 5`,
              [ada],
            );
            await client.query('commit');
            done++;
          } catch (error) {
            failures.push(String(error));
            await client.query('rollback');
          }
        }
      });
    const learners = [learner(), learner(), learner()];
    try {
      await until(async () => done > 10);
      const result = await work();
      return { result, done, failures };
    } finally {
      isOver = true;
      await Promise.all(learners);
    }
  }

  describe('vacuum', () => {
    it('MN-2 frees dead rows, measured before and after; --dry-run changes nothing', async () => {
      await addProgress(5000);
      await rows('delete from progress where score < 50');
      await until(async () => (await tidied('progress', true))[0]!.before.deadRows >= 2400, 20_000);
      const [table] = await tidied('progress');
      expect(table).toMatchObject({ table: 'public.progress', statement: 'vacuum public.progress' });
      expect(table!.before.deadRows).toBeGreaterThanOrEqual(2400);
      expect(table!.after!.deadRows).toBeLessThan(100);
      const all = await studently(settings, '--json', 'maint', 'vacuum');
      expect(all).toMatchObject({ code: 0, err: '' });
      expect((JSON.parse(all.out) as { tables: object[] }).tables.length).toBeGreaterThan(25);
      const { out } = await studently(settings, 'maint', 'vacuum', 'progress');
      expect(out).toMatch(/^progress +\d+ → \d+ +[\d,.]+ [kM]B → [\d,.]+ [kM]B .* vacuum$/m);
    }, 60_000);

    it('MN-2 CMP-6 takes deleted vectors out of the vector index, where plain VACUUM leaves them', async () => {
      const vector = (first: string, at: string) =>
        `'[' || repeat('0,', ${at}) || '${first}' || repeat(',0', 1530 - ${at}) || ']'`;
      await rows('create extension if not exists pageinspect');
      await rows('alter table published_passages set (fillfactor = 10)'); // many pages, of which few have dead rows
      await rows(
        `insert into documents (user_id, id, type, content) select id, id, 'text', 'x' from users where id = '${ada}';
         insert into published_documents (user_id, id, type, metadata, space, vectors) values ('${ada}', '${ada}', 'text', '{}', 0, 600);
         insert into published_passages (user_id, id, document_id, ordinal, content, starts_at, ends_at, space, embedding)
           select '${ada}', uuid_generate_v4(), '${ada}', nr, repeat(md5(nr::text) || ' ', 8), 0, 1, 0,
             (case when nr <= 5 then ${vector('0.5,-0.5,0.5,-0.5,0,0', 'nr')} else ${vector('0.6,0.8,0,0,0,0', 'nr')} end)::halfvec
           from generate_series(1, 600) nr`,
      );
      const canary = Buffer.from('003800b8003800b8', 'hex'); // 0.5, -0.5, 0.5, -0.5 as they lie on the page
      const found = async () => {
        const [answer] = await rows<{ pages: number }>(
          `select count(*)::int as pages from generate_series(0, pg_relation_size('published_passages_nearest') / 8192 - 1) page
           where position($1::bytea in get_raw_page('published_passages_nearest', page::int)) > 0`,
          [canary],
        );
        return answer!.pages;
      };
      expect(await found()).toBeGreaterThan(0);
      await rows('delete from published_passages where ordinal <= 5');
      await rows('vacuum published_passages');
      expect(await found()).toBeGreaterThan(0); // that is why
      const [table] = await tidied('published_passages');
      expect(table!.statement).toBe('vacuum (index_cleanup on) public.published_passages');
      expect(await found()).toBe(0);
    }, 60_000);

    it('says what it does not know, and that maintenance runs already', async () => {
      const unknown = await studently(settings, 'maint', 'vacuum', 'chats; drop table users');
      expect(unknown).toMatchObject({ code: 1, err: expect.stringContaining('has no table "chats; drop table users"') });
      await withClient(database.adminUrl, async (client) => {
        await client.query('select pg_advisory_lock($1)', [ADVISORY_LOCKS.auditSealing]); // which goes on meanwhile
        expect(await studently(settings, 'maint', 'analyze', 'chats')).toMatchObject({ code: 0, err: '' });
        await client.query('select pg_advisory_lock($1)', [ADVISORY_LOCKS.maintenance]);
        expect(await studently(settings, 'maint', 'analyze')).toMatchObject({
          code: 1,
          err: expect.stringContaining('runs already'),
        });
      });
      const learners = { ...settings, DATABASE_MIGRATION_URL: database.url };
      expect(await studently(learners, 'maint', 'analyze')).toMatchObject({
        code: 78,
        err: expect.stringContaining('DB_OWNER_REFUSED'),
      });
    }, 60_000);
  });

  it('MN-3 analyze turns a bad plan, made from stale statistics, into a good one', async () => {
    await rows('truncate progress');
    await rows(
      `insert into users (email, password_hash) select nr || '@example.com', '$argon2id$x' from generate_series(1, 2000) nr`,
    );
    await rows(`insert into progress (user_id, category, score) select id, 'algebra', 1 from users`);
    await asOwner((session) => analyze(session, ['progress'], {}));
    await addProgress(2000); // until now each had one
    const plan = async () => {
      const [{ 'QUERY PLAN': answer }] = (await rows(
        `explain (analyze, buffers, timing off, format json)
         select count(*) from progress a join progress b on b.user_id = a.user_id and b.id = a.id where a.user_id = '${ada}'`,
      )) as [{ 'QUERY PLAN': [{ Plan: any }] }];
      const { Plan: top } = answer[0];
      const [join] = top.Plans;
      return {
        join: join['Node Type'],
        expected: join.Plans[0]['Plan Rows'],
        pages: top['Shared Hit Blocks'] + top['Shared Read Blocks'],
      };
    };
    const before = await plan();
    expect(before).toMatchObject({ join: 'Nested Loop' });
    expect(before.expected).toBeLessThan(200); // of 2,001
    const [table] = await asOwner((session) => analyze(session, ['progress'], {}));
    expect(table!.before.changedSinceAnalyze).toBeGreaterThanOrEqual(2000);
    expect(table!.after).toMatchObject({ changedSinceAnalyze: 0, plannedRows: 4001 });
    const after = await plan();
    expect(after.join).toMatch(/Hash Join|Merge Join/);
    expect(after.expected).toBeGreaterThan(1500);
    expect(before.pages).toBeGreaterThan(after.pages * 10);
  }, 60_000);

  describe('reindex', () => {
    it('MN-1 makes bloated indexes small, concurrently under load, and cleans up after interrupted builds', async () => {
      await rows('truncate progress');
      await addProgress(40_000);
      await rows('delete from progress where score > 4');
      await rows('vacuum analyze progress');
      await leaveBehind('progress_series');
      const leftover = async () =>
        (await rows<{ name: string }>(`select relname as name from pg_class where relname ~ '_cc(new|old)' order by 1`)).map(
          ({ name }) => name,
        );
      expect(await leftover()).toEqual(['progress_series_ccnew', 'progress_series_ccold']);

      const planned = await rebuilt([], true);
      expect(planned.map(({ index, why }) => [index, why]).sort()).toEqual([
        ['public.progress_newest', 'bloated'],
        ['public.progress_pkey', 'bloated'],
        ['public.progress_series_ccnew', 'leftover'],
        ['public.progress_series_ccold', 'leftover'],
      ]);
      expect(await leftover()).toHaveLength(2);
      const { result, failures } = await underLoad(() => rebuilt());
      expect(failures).toEqual([]);
      expect(result).toHaveLength(4);
      for (const { bytesBefore, bytesAfter, why } of result) {
        if (why === 'bloated') expect(bytesAfter! * 2).toBeLessThan(bytesBefore);
      }
      expect(await leftover()).toEqual([]);
      expect(await rebuilt()).toEqual([]);
      expect(await rows('select 1 from pg_index where not indisvalid')).toEqual([]);
    }, 90_000);

    it('MN-1 says which index cannot be built, with 2, and leaves nothing of the attempt', async () => {
      await rows('create unique index concurrently planted on progress (category)').catch(() => undefined);
      const { code, out } = await studently(settings, '--json', 'maint', 'reindex');
      expect([code, (JSON.parse(out) as { indexes: object[] }).indexes]).toEqual([
        2,
        [
          expect.objectContaining({
            index: 'public.planted',
            why: 'invalid',
            failed: true,
            remark: expect.stringContaining('unique'),
          }),
        ],
      ]);
      expect(await rows(`select 1 from pg_class where relname ~ 'planted_cc'`)).toEqual([]);
      await rows('drop index planted');
    }, 60_000);

    it('MN-1 leaves an index alone that somebody else is just building', async () => {
      await withClient(database.adminUrl, async (writer) => {
        await writer.query(`begin; update progress set score = score where id = (select id from progress limit 1)`);
        await withClient(database.adminUrl, async (builder) => {
          const built = builder.query('create index concurrently being_built on progress (score)');
          const waits = `select from pg_stat_progress_create_index where index_relid = to_regclass('being_built')`;
          await until(async () => (await rows(waits)).length > 0, 20_000);
          const [left] = await rebuilt(['being_built']);
          expect(left).toMatchObject({ why: 'invalid', failed: false, remark: expect.stringContaining('under construction') });
          await writer.query('commit');
          await built;
        });
      });
      expect(await rows(`select from pg_index where indexrelid = 'being_built'::regclass and indisvalid`)).toHaveLength(1);
      await rows('drop index being_built');
    }, 60_000);

    it('ends at SIGINT with 130; the next run goes on', async () => {
      await withClient(database.adminUrl, async (client) => {
        await client.query('begin; select count(*) from progress'); // it is waited for
        const maint = new StudentlyProcess(settings, ['maint', 'reindex', 'progress_pkey'], {
          stdio: ['ignore', 'pipe', 'pipe'],
        });
        await until(
          async () =>
            (await rows(`select 1 from pg_stat_activity where query ~ '^reindex' and wait_event_type = 'Lock'`)).length,
          40_000,
        );
        maint.child.kill('SIGINT');
        expect(await maint.ended).toMatchObject({ code: 130, err: expect.stringContaining('Interrupted') });
        await client.query('commit');
      });
      await rebuilt(['progress_pkey']);
      expect(await rows(`select 1 from pg_class where relname ~ '_cc(new|old)'`)).toEqual([]);
    }, 60_000);

    /** As a server that dies while it builds an index: before the new one is complete (an old snapshot), and after (a reader). */
    async function leaveBehind(index: string) {
      for (const isolation of ['repeatable read', 'read committed']) {
        await withClient(database.adminUrl, async (client) => {
          await client.query(`begin isolation level ${isolation}; select count(*) from progress`);
          await withClient(database.adminUrl, async (builder) => {
            await builder.query(`set statement_timeout = '500ms'`);
            await builder.query(`reindex index concurrently ${index}`).catch(() => undefined);
          });
        });
      }
    }
  });

  describe('repack', () => {
    it('says what is missing and what to do', async () => {
      const without = await studently(settings, 'maint', 'repack', 'progress');
      expect(without).toMatchObject({ code: 78, err: expect.stringContaining('create extension pg_repack') });
      await rows('create extension pg_repack');
      const refused = await studently(settings, 'maint', 'repack', 'progress');
      expect(refused).toMatchObject({ code: 78, err: expect.stringContaining('REPACK_NOT_ALLOWED') });
    }, 60_000);

    it('MN-2 writes a table anew under load, also after a run that has died', async () => {
      const superuser = { ...settings, DATABASE_MIGRATION_URL: database.adminUrl };
      await rows('truncate progress');
      await addProgress(40_000);
      await rows('delete from progress where score > 4');
      await withClient(database.adminUrl, async (client) => {
        await client.query('begin isolation level repeatable read; select count(*) from users');
        const dying = new StudentlyProcess(superuser, ['maint', 'repack', 'progress'], { stdio: ['ignore', 'pipe', 'pipe'] });
        await until(async () => (await rows(`select 1 from pg_trigger where tgname = 'repack_trigger'`)).length, 20_000);
        const { pid } = dying.child;
        process.kill(Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')), 'SIGKILL');
        expect(await dying.ended).toMatchObject({ code: 1, err: expect.stringContaining('pg_repack') });
        expect(await rows(`select 1 from pg_trigger where tgname = 'repack_trigger'`)).toHaveLength(1);
      });
      const [counted] = await rows<{ count: string }>('select count(*) from progress');
      const { result, done, failures } = await underLoad(() =>
        asOwner((session) => repack(session, ['progress'], {}, new AbortController().signal), database.adminUrl),
      );
      expect(failures).toEqual([]);
      const [table] = result;
      expect(table!.after!.bytes * 2).toBeLessThan(table!.before.bytes);
      const [after] = await rows<{ count: string }>('select count(*) from progress');
      expect(Number(after!.count)).toBeGreaterThanOrEqual(Number(counted!.count) + done);
      expect(await rows(`select 1 from pg_trigger where tgname = 'repack_trigger'`)).toEqual([]);
      expect(await rows(`select 1 from pg_class where relnamespace = 'repack'::regnamespace and relkind = 'r'`)).toEqual([]);
    }, 90_000);
  });

  it('makes the partitions of the coming months that are missing', async () => {
    const [latest] = await rows<{ name: string }>(`select max(inhrelid::regclass::text) as name from pg_inherits
      where inhparent = 'audit_events'::regclass and inhrelid::regclass::text ~ '\\d$'`);
    await rows(`drop table ${latest!.name}`);
    const month = latest!.name.replace('audit_events_', '');
    expect((await asOwner((session) => partitions(session, { dryRun: true }))).missing).toEqual([month]);
    const done = await asOwner((session) => partitions(session, {}));
    expect(done).toMatchObject({ missing: [month] });
    expect(done.after).toHaveLength(done.before.length + 1);
    expect((await studently(settings, 'maint', 'partitions')).out).toContain('No month is missing.');
  }, 60_000);
});

describeServed('MAINTENANCE_WINDOW', () => {
  it('MN-1 MN-2 MN-3 has one worker look after the database, and keeps what it has done', async () => {
    const [database, redis] = await Promise.all([createTestDatabase(), startRedis()]);
    const logs = mkdtempSync(join(tmpdir(), 'studently-logs-'));
    const settings = {
      DATABASE_URL: database.url,
      DATABASE_MIGRATION_URL: database.adminUrl,
      REDIS_URL: redis.url,
      MAINTENANCE_WINDOW: '00:00-00:00', // always
      LOG_FILE: join(logs, 'worker.jsonl'),
    };
    const kept = `${settings.LOG_FILE}.2020`; // an old folder of somebody's, which looks like a log
    mkdirSync(kept);
    utimesSync(kept, new Date(0), new Date(0));
    const workers: ApiProcess[] = [];
    const runs = () =>
      sql<{ ended: boolean; done: { vacuumed: number; analyzed: number; left: string[] } }>(
        database.adminUrl,
        'select ended_at is not null as ended, done from operations.maintenance_runs',
      );
    try {
      await withClient(database.adminUrl, async (client) => {
        await client.query('begin; lock table users in share update exclusive mode'); // as a vacuum against wraparound
        for (let nr = 0; nr < 2; nr++) workers.push(await ApiProcess.start(settings, 'worker'));
        await until(async () => (await runs()).some(({ ended }) => ended), 60_000);
      });
      const all = await runs();
      expect(all).toHaveLength(1);
      expect(all[0]!.done.vacuumed).toBeGreaterThan(25);
      expect(all[0]!.done.analyzed).toBe(all[0]!.done.vacuumed);
      expect(all[0]!.done.left).toEqual(['public.users']);
      const without = await ApiProcess.run({ ...settings, DATABASE_MIGRATION_URL: '' }, 'worker');
      expect(without).toMatchObject({ code: 78, output: expect.stringContaining('needs DATABASE_MIGRATION_URL') });
      expect(existsSync(kept)).toBe(true);
    } finally {
      for (const worker of workers) expect(await worker.stop()).toBe(0);
      await redis.stop();
      await database.drop();
      rmSync(logs, { recursive: true });
    }
  }, 120_000);
});

describe('studently maint, embedded', () => {
  it('vacuums; cache is what `cache clean` is', async () => {
    const place = await embedded.open();
    try {
      const vacuumed = await studently(place.settings, '--json', 'maint', 'vacuum');
      expect(vacuumed).toMatchObject({ code: 0, err: '', out: expect.stringContaining('public.progress') });
      const [cache, clean] = await Promise.all(
        ['maint cache', 'cache clean'].map((words) => studently({}, ...words.split(' '))),
      );
      expect(cache).toEqual(clean);
    } finally {
      await place.close();
    }
  }, 120_000);
});
