import { randomUUID } from 'node:crypto';
import { Database, SYSTEM, UnitOfWork, type Actor } from '@studently/platform';
import { ChatChanged } from '@studently/ai-interactions';
import { TestContexts } from '../support/contexts';
import { createTestDatabase, sql, type TestDatabase } from '../support/database';
import { withClient } from '../support/servers';
import { ourTables, personalTables, PUBLISHED } from './catalog';
import { insertLearner, insertRow, validRow } from './rows';

/** What an ADMIN sees of others. Never what learners write or ask. */
const SEEN_BY_ADMIN = ['profiles', 'sessions', 'subscriptions', 'users', 'user_emails'];
/** What a learner only reads: an ADMIN writes it. */
const READ_ONLY = ['subscriptions'];
/** What nobody may change. */
const UNCHANGING = [
  'chat_messages',
  'chat_turns',
  'document_passages',
  'former_vectors',
  'grants',
  'passage_vectors',
  'study_reviews',
  'turn_vectors',
];
/** What nobody may delete: it leaves by cascade, or when it has expired. */
const STAYING = ['chat_messages', 'chat_turns', 'import_batches', 'study_reviews', 'turn_vectors'];
/** What is never changed, but for one column: enough to lock it. */
const LOCKABLE = ['study_reviews'];
const NOT_ALLOWED = '42501';
const IS_THERE = '23505';

describe('SEC-2 row-level security', () => {
  let database: TestDatabase;
  let tables: string[];
  /** Those of which a learner sees their own rows alone. */
  let closed: string[];
  let ada: string;
  let ben: string;
  beforeAll(async () => {
    database = await createTestDatabase();
    tables = await personalTables(database.adminUrl);
    closed = tables.filter((table) => !PUBLISHED.includes(table));
    [ada, ben] = await withClient(database.adminUrl, async (client) => [
      await insertLearner(client, tables),
      await insertLearner(client, tables),
    ]);
  });
  afterAll(() => database.drop());

  const owner = (table: string) => (table === 'users' ? 'id' : 'user_id');
  /** A statement without any WHERE, as the application's login and within a context. */
  const as = <Row extends object = Record<string, string>>(context: { userId?: string; actorRole?: string }, text: string) =>
    sql<Row>(database.url, text, [], { role: 'studently_app', ...context });
  /** How a statement ends within a context, without leaving a trace: the number of rows it hit, or the SQLSTATE. */
  const outcome = (role: string | undefined, userId: string, text: string, values: unknown[] = [], actorRole = 'STUDENT') =>
    withClient(role === 'studently_readonly' ? database.adminUrl : database.url, async (client) => {
      await client.query('begin');
      if (role) await client.query(`set local role ${role}`);
      await client.query(`select set_config('app.user_id', $1, true), set_config('app.role', $2, true)`, [userId, actorRole]);
      try {
        const { rowCount } = await client.query(text, values);
        return rowCount;
      } catch (error) {
        return (error as { code: string }).code;
      }
    });

  /** How it ends that ada inserts another row that belongs to somebody. */
  const inserting = (table: string, userId: string, actorRole: string) =>
    withClient(database.url, async (client) => {
      await client.query('begin');
      await client.query(`set local role studently_app; set local app.user_id = '${ada}'; set local app.role = '${actorRole}'`);
      return insertRow(client, table, validRow(table, userId)).then(
        () => 'accepted',
        (error: { code: string }) => error.code,
      );
    });

  it('has a row of two learners in every personal table', async () => {
    for (const table of tables) {
      const owners = await sql<{ owner: string }>(
        database.adminUrl,
        `select ${owner(table)} as owner from ${table} order by 1`,
      );
      expect([table, owners.map((row) => row.owner)]).toEqual([table, [ada, ben].sort()]);
    }
  });

  it("shows a learner's own rows alone, without any WHERE", async () => {
    for (const table of [...closed, 'ai_chats_seed']) {
      for (const userId of [ada, ben]) {
        const rows = await as({ userId }, `select ${owner(table)} as owner from ${table}`);
        expect([table, rows]).toEqual([table, [{ owner: userId }]]);
      }
    }
  });

  it.each([
    ['an empty one', { userId: '' }],
    ['that of nobody', { userId: randomUUID() }],
  ])('shows nothing in a context that is %s', async (_, context) => {
    for (const table of [...closed, 'ai_chats_seed']) {
      expect([table, await as(context, `select * from ${table}`)]).toEqual([table, []]);
    }
  });

  it('shows nothing without a context', async () => {
    await withClient(database.url, async (client) => {
      await client.query('set role studently_app');
      for (const table of [...closed, 'ai_chats_seed']) {
        expect([table, (await client.query(`select * from ${table}`)).rowCount]).toEqual([table, 0]);
        if (!table.endsWith('_seed') && !STAYING.includes(table))
          expect([table, (await client.query(`delete from ${table}`)).rowCount]).toEqual([table, 0]);
      }
    });
    expect((await sql(database.adminUrl, 'select from users')).length).toBe(2);
  });

  it('fails rather than guesses when the context is no uuid', async () => {
    expect(await outcome('studently_app', 'ada', 'select * from chats')).toBe('22P02');
  });

  it('lets no statement touch a foreign row, with or without naming it', async () => {
    for (const table of closed) {
      const column = owner(table);
      const own = READ_ONLY.includes(table) ? 0 : 1;
      const changing = (hit: number) => (UNCHANGING.includes(table) ? NOT_ALLOWED : hit);
      const deleting = (hit: number) => (STAYING.includes(table) ? NOT_ALLOWED : hit);
      const outcomes = {
        'update without where': await outcome('studently_app', ada, `update ${table} set ${column} = ${column}`),
        'update of the foreign row': await outcome(
          'studently_app',
          ada,
          `update ${table} set ${column} = ${column} where ${column} = $1`,
          [ben],
        ),
        'delete without where': await outcome('studently_app', ada, `delete from ${table}`),
        'delete of the foreign row': await outcome('studently_app', ada, `delete from ${table} where ${column} = $1`, [ben]),
        'lock of the foreign row': await outcome('studently_app', ada, `select from ${table} where ${column} = $1 for update`, [
          ben,
        ]),
      };
      expect([table, outcomes]).toEqual([
        table,
        {
          'update without where': changing(own),
          'update of the foreign row': changing(0),
          'delete without where': deleting(own),
          'delete of the foreign row': deleting(0),
          'lock of the foreign row': LOCKABLE.includes(table) ? 0 : changing(0),
        },
      ]);
      if (changing(own) === 1) {
        const given = await outcome('studently_app', ada, `update ${table} set ${column} = $1`, [ben]);
        expect([table, 'given away', given]).toEqual([table, 'given away', '42501']);
      }
    }
  });

  it('lets nobody insert a row for somebody else', async () => {
    for (const table of tables) {
      const refused = await inserting(table, table === 'users' ? randomUUID() : ben, 'STUDENT');
      expect([table, refused]).toEqual([table, NOT_ALLOWED]);
    }
  });

  it('shows an ADMIN users, profiles and subscriptions, and never what learners write', async () => {
    for (const table of closed) {
      const rows = await as({ userId: randomUUID(), actorRole: 'ADMIN' }, `select * from ${table}`);
      expect([table, rows.length]).toEqual([table, SEEN_BY_ADMIN.includes(table) ? 2 : 0]);
    }
    expect(await as({ userId: randomUUID(), actorRole: 'ADMIN' }, 'select * from ai_chats_seed')).toEqual([]);
  });

  it.each(['TEACHER', 'OPS', 'DPO', 'SYSTEM', 'admin', ''])('shows the role "%s" nothing of others', async (actorRole) => {
    for (const table of closed) {
      expect([table, await as({ userId: randomUUID(), actorRole }, `select * from ${table}`)]).toEqual([table, []]);
    }
  });

  it.each([
    ...['STUDENT', 'OPS', 'DPO', 'SYSTEM', 'teacher', ''].map((role) => ({ role, may: false })),
    ...['TEACHER', 'ADMIN', 'SERVICE'].map((role) => ({ role, may: true })),
  ])('shows the role "$role" what is published; to publish or withdraw what is their own: $may', async ({ role, may }) => {
    for (const table of PUBLISHED) {
      const as = (text: string, values: unknown[] = []) => outcome('studently_app', ada, text, values, role);
      expect({
        seen: await as(`select from ${table}`),
        withdrawn: await as(`delete from ${table}`),
        ofSomebodyElse: await as(`delete from ${table} where user_id = $1`, [ben]),
        changed: await as(`update ${table} set id = id`),
        published: await inserting(table, ada, role),
        inSomebodyElsesName: await inserting(table, ben, role),
      }).toEqual({
        seen: 2,
        withdrawn: may ? 1 : 0,
        ofSomebodyElse: 0,
        changed: NOT_ALLOWED,
        published: may ? IS_THERE : NOT_ALLOWED,
        inSomebodyElsesName: NOT_ALLOWED,
      });
    }
  });

  it('shows the worker no row of a learner, not even within the context of one', async () => {
    for (const table of tables) {
      for (const text of [`select count(*) from ${table} having count(*) > 0`, `delete from ${table}`]) {
        expect(['42501', 0]).toContain(await outcome('studently_worker', ada, text));
      }
    }
  });

  it('lets the worker remove what has expired, and only that', async () => {
    const expired = await withClient(database.adminUrl, async (client) => {
      const id = randomUUID();
      await insertRow(client, 'sessions', {
        ...validRow('sessions', ada),
        id,
        created_at: '2020-01-01',
        expires_at: '2020-01-02',
      });
      return id;
    });
    const seen = await sql(database.url, 'delete from sessions where expires_at < now() returning id', [], {
      role: 'studently_worker',
    });
    expect(seen).toEqual([{ id: expired }]);
    expect((await sql(database.adminUrl, 'select from sessions')).length).toBe(2);
  });

  it.each([
    ['the login itself, before it acts as anybody', undefined],
    ['studently_readonly', 'studently_readonly'],
  ])('refuses everything to %s', async (_, role) => {
    for (const table of [...(await ourTables(database.adminUrl)), 'ai_chats_seed']) {
      for (const text of [`select from ${table}`, `delete from ${table}`, `insert into ${table} default values`]) {
        expect([text, await outcome(role, ada, text)]).toEqual([text, '42501']);
      }
    }
    for (const text of [
      'create table planted ()',
      'create schema planted',
      `select find_login('x')`,
      'set role studently_owner',
    ]) {
      if (role && text.startsWith('set role')) continue; // there it is the superuser of the test who asks
      expect([text, await outcome(role, ada, text)]).toEqual([text, '42501']);
    }
  });

  it('shows studently_readonly the statistics', async () => {
    expect(await outcome('studently_readonly', '', 'select from pg_stat_activity limit 1')).toBe(1);
  });

  it('lets a login learn of one exact address only what it needs', async () => {
    const find = (email: string) => as({}, `select * from find_login('${email}')`);
    expect(await find(`${ada}@example.org`)).toEqual([
      { user_id: ada, role: 'STUDENT', session_epoch: 1, password_hash: expect.stringMatching(/^\$argon2id\$/) },
    ]);
    for (const other of ['', '%', `${ada}@EXAMPLE.org`, '_', `${ada}@example.or`]) expect(await find(other)).toEqual([]);
  });

  it('cannot be switched off or walked around by the application', async () => {
    for (const text of [
      'alter table chats disable row level security',
      'drop policy chats_self on chats',
      'truncate chats',
      'create view leak as select * from chats',
      'set local role studently_owner',
      'set session authorization postgres',
      'create function leak() returns int language sql security definer as $$ select 1 $$',
    ]) {
      expect([text, await outcome('studently_app', ada, text)]).toEqual([text, '42501']);
    }
    // row_security = off does not show more: it refuses.
    await withClient(database.url, async (client) => {
      await client.query('set role studently_app; set row_security = off');
      await expect(client.query('select * from chats')).rejects.toMatchObject({ code: '42501' });
    });
  });
});

describe('SEC-2 pooled connections', () => {
  it('keep nobody: 5,000 interleaved requests of several learners, with failures in between, see their own rows only', async () => {
    const contexts = await TestContexts.start({ DATABASE_POOL_SIZE: '4' });
    try {
      const tables = await personalTables(contexts.database.adminUrl);
      const learners = await withClient(contexts.database.adminUrl, async (client) => {
        const ids: string[] = [];
        for (let i = 0; i < 5; i++) ids.push(await insertLearner(client, tables));
        return ids;
      });
      const database = contexts.app.get(Database);
      const unitOfWork = contexts.app.get(UnitOfWork);
      const seen: [who: string | undefined, owner: string, setting: string][] = [];
      const look = `select u.id as owner, current_setting('app.user_id') as setting, c.user_id as chat from users u left join chats c on true`;
      type Seen = { owner: string; setting: string; chat: string };
      const note = (actor: Actor, rows: Seen[]) => {
        for (const row of rows) seen.push([actor.userId, row.owner, row.setting], [actor.userId, row.chat, row.setting]);
      };
      const fails = (promise: Promise<unknown>) =>
        promise.then(
          () => Promise.reject(new Error('should fail')),
          () => undefined,
        );

      const request = async (number: number): Promise<void> => {
        const actor: Actor = { userId: learners[number % 5]!, role: 'STUDENT' };
        switch ((number * 7919) % 11) {
          case 0:
            return fails(database.read(actor, 'select 1 / 0'));
          case 1:
            return fails(database.read(actor, 'no SQL at all'));
          case 2:
            return fails(
              unitOfWork.run(actor, async (tx) => {
                note(actor, await tx.query<Seen>(look));
                throw new Error('aborted');
              }),
            );
          case 3:
            return fails(unitOfWork.run(actor, async (tx) => void (await tx.query('select 1 / 0'))));
          case 4:
            expect(await database.read({ role: 'STUDENT' }, 'select from users')).toEqual([]);
            return;
          case 5:
            expect(await database.read(SYSTEM, 'select user_id from sessions')).toEqual([]);
            return;
          case 6:
            await unitOfWork.run(actor, async (tx) => {
              note(actor, await tx.query<Seen>(`${look}`));
              await tx.query('update chats set title = $1', [actor.userId]);
              tx.record(new ChatChanged(actor.userId!, actor.userId!));
            });
            return;
          default:
            note(actor, await database.read<Seen>(actor, look));
        }
      };
      let next = 0;
      await Promise.all(
        Array.from({ length: 40 }, async () => {
          while (next < 5000) await request(next++);
        }),
      );

      expect(seen.length).toBeGreaterThan(4000);
      expect(seen.filter(([who, owner, setting]) => who !== owner || who !== setting)).toEqual([]);
      const titles = await sql<{ user_id: string; title: string }>(
        contexts.database.adminUrl,
        'select user_id, title from chats',
      );
      expect(titles.map((chat) => chat.title).sort()).toEqual([...learners].sort());

      const pool = await database.pool();
      const clients = await Promise.all([1, 2, 3, 4].map(() => pool.connect()));
      for (const client of clients) {
        const { rows } =
          await client.query(`select current_user, coalesce(current_setting('app.user_id', true), '') as "userId",
                                             coalesce(current_setting('app.role', true), '') as role`);
        expect(rows).toEqual([{ current_user: 'studently_login', userId: '', role: '' }]);
        client.release();
      }
      expect(pool.totalCount).toBeLessThanOrEqual(4);
    } finally {
      await contexts.stop();
    }
  }, 60_000);
});
