import { randomUUID } from 'node:crypto';
import { loadSettings, render, tune } from '@studently/platform';
import { Client } from 'pg';
import { transactions } from '../../libs/platform/src/doctor/checks/connections';
import { judgeDisk } from '../../libs/platform/src/doctor/checks/server';
import { Migrations } from '../../libs/platform/src/migrations/migrations';
import { ApiProcess } from '../support/api-process';
import { findingsOf, runMend, type Patient } from '../support/doctor';
import { HttpClient, newLearner } from '../support/http';
import { freePort, startPostgres, startRedis, withClient, type PostgresServer, type RedisServer } from '../support/servers';
import { studently } from '../support/studently';

/** Each fault is planted, found, mended by the command that the finding names, and gone. */
describe('studently doctor', () => {
  let server: PostgresServer;
  let redis: RedisServer;
  let url: string;
  let settings: NodeJS.ProcessEnv;
  const runIn = (where: string, statements: string[]) =>
    withClient(where, async (client) => {
      let rows: unknown[] = [];
      for (const statement of statements) ({ rows } = await client.query(statement));
      return rows;
    });
  const run = (...statements: string[]) => runIn(url, statements);
  const onServer = (...statements: string[]) => runIn(server.url('postgres'), statements);
  const patient = (more: Partial<Patient> = {}): Patient => ({ url, settings, ...more });

  beforeAll(async () => {
    const machine = { memory: 1024 ** 3, cpus: 2, workload: 'mixed', processes: 3, poolSize: 10 } as const;
    const conf = render(machine, tune(machine))['postgresql.conf'];
    const tuned = Object.fromEntries([...conf.matchAll(/^(\w+) = '?(.*?)'?$/gm)].map(([, name, value]) => [name!, value!]));
    [server, redis] = await Promise.all([startPostgres({ ...tuned, max_prepared_transactions: '5' }), startRedis()]);
    await onServer('create database healthy');
    url = server.url('healthy');
    await new Migrations({ url, embedded: false }).up();
    await run('create extension amcheck');
    for (const command of ['maxmemory 64mb', 'maxmemory-policy volatile-lru']) {
      runMend(`$ redis-cli -p ${redis.port} config set ${command}`, url);
    }
  }, 60_000);
  /** Each test has a server as it was, and a database of its own. */
  beforeEach(async () => {
    await onServer('grant studently_app, studently_worker to studently_login', 'create database studently template healthy');
    url = server.url('studently');
    settings = { DATABASE_URL: server.appUrl('studently'), DATABASE_MIGRATION_URL: url, REDIS_URL: redis.url };
  });
  afterEach(async () => {
    await onServer('alter system reset all');
    await reloaded();
    await onServer(
      'drop database studently with (force)',
      `alter role studently_login nosuperuser nobypassrls valid until 'infinity'`,
      'select pg_drop_replication_slot(slot_name) from pg_replication_slots',
    );
  });
  afterAll(async () => {
    await server?.remove();
    await redis?.stop();
  });

  it('DM-3 DM-4 finds nothing in a database that is migrated and tuned, after commands in any order', async () => {
    const api = await ApiProcess.start({ ...settings, LOG_ACCESS: 'false' });
    try {
      const { http } = await newLearner(new HttpClient(api.url));
      const chats: string[] = [];
      const anyChat = () => chats[Math.floor(Math.random() * chats.length)] ?? randomUUID();
      const commands: (() => Promise<{ status: number }>)[] = [
        async () => {
          const answer = await http.post('/v1/chats', { title: 'Grass' });
          chats.push(answer.body.id);
          return answer;
        },
        () => http.post(`/v1/chats/${anyChat()}/messages`, { role: 'user', content: 'Why is grass green?' }),
        () => http.post(`/v1/chats/${anyChat()}/messages`, { role: 'assistant', content: 'Chlorophyll.' }),
        () => http.delete(`/v1/chats/${anyChat()}`),
        () => http.post('/v1/documents', { type: 'text', content: 'Grass is green.' }),
        () => http.post('/v1/study/items', { type: 'flashcard', content: { front: 'a', back: 'b' } }),
        () => http.post('/v1/progress', { category: 'algebra', score: 62.5 }),
      ];
      let done = 0;
      for (let nr = 0; nr < 30; nr++) {
        const command = commands[nr] ?? commands[Math.floor(Math.random() * commands.length)]!;
        const others = [command(), command()]; // at the same moment
        for (const { status } of await Promise.all(others)) if (status === 201) done++;
      }
      expect(done).toBeGreaterThan(10);
      expect(await findingsOf(patient({ deep: true }))).toEqual([]);
    } finally {
      await api.stop();
    }
  }, 60_000);

  it('says so to a person and to a machine, with 2 where something is wrong', async () => {
    const well = await studently(settings, 'doctor', '--deep');
    expect(well).toMatchObject({ code: 2, err: '', out: expect.stringMatching(/\d\d checks, 1 finding\n$/) });
    expect(well.out).toMatch(
      /^critical {2}backups {2,}There is no backup: .*\n {10,}→ \$ npx studently backup run --type full/,
    );
    expect(well.out).toContain('note'); // the old pgvector of Debian 12, which nothing here opens
    await run('alter table chats no force row level security');
    const ill = await studently(settings, 'doctor');
    expect(ill.code).toBe(2);
    expect(ill.out).toMatch(
      /critical {2}row-level security {2,}chats holds rows of learners .*\n {10,}→ alter table chats .*;\n/,
    );
    const forMachines = await studently(settings, '--json', 'doctor');
    expect(forMachines).toMatchObject({ code: 2, err: '' });
    const { findings } = JSON.parse(forMachines.out) as { findings: { check: string; mend: string }[] };
    expect(findings).toContainEqual(expect.objectContaining({ check: 'row-level security', severity: 'critical' }));
  }, 60_000);

  const WIDE = `insert into wide select n, repeat(md5(n::text), 60) from generate_series(1, 20000) n`;
  const faults: { check: string; plant: string[]; finds: RegExp; severity?: string; deep?: boolean }[] = [
    {
      check: 'start',
      plant: ['revoke studently_worker from studently_login'],
      finds: /would not start: DB_ROLE_MISSING/,
      severity: 'critical',
    },
    { check: 'pgvector', plant: ['alter system set max_parallel_maintenance_workers = 2'], finds: /CVE-2026-3172/ },
    { check: 'disk', plant: [`alter system set max_wal_size = '100TB'`], finds: /may take 100 TB/, severity: 'critical' },
    { check: 'settings', plant: ['alter system set fsync = off'], finds: /^fsync = off:/, severity: 'critical' },
    { check: 'settings', plant: ['alter system set synchronous_commit = off'], finds: /acknowledged/, severity: 'critical' },
    { check: 'settings', plant: ['alter system set autovacuum = off'], finds: /^autovacuum = off/, severity: 'critical' },
    { check: 'settings', plant: ['alter system set log_error_verbosity = verbose'], finds: /values of rows into the log/ },
    { check: 'settings', plant: [`alter system set log_statement = 'all'`], finds: /^log_statement = all/ },
    { check: 'settings', plant: ['alter system set password_encryption = md5'], finds: /MD5/ },
    {
      check: 'roles',
      plant: ['alter role studently_login bypassrls'],
      finds: /^studently_login is allowed to pass/,
      severity: 'critical',
    },
    {
      check: 'passwords',
      plant: [`do $$ begin execute format('alter role studently_login valid until %L', now() + interval '3 days'); end $$`],
      finds: /^The password of studently_login ends on \d{4}-\d\d-\d\d/,
      severity: 'critical',
    },
    {
      check: 'passwords',
      plant: [`do $$ begin execute format('alter role studently_login valid until %L', now() + interval '20 days'); end $$`],
      finds: /^The password of studently_login ends on \d{4}-\d\d-\d\d/,
    },
    {
      check: 'owners',
      plant: ['create table theirs (id int primary key)', 'alter table theirs owner to studently_app'],
      finds: /^studently_app, .* owns the table theirs/,
      severity: 'critical',
    },
    {
      check: 'row-level security',
      plant: ['create table diary (user_id uuid primary key)', 'create policy diary_owner on diary using (true)'],
      finds: /^diary holds rows of learners and has no row-level security/,
      severity: 'critical',
    },
    {
      check: 'row-level security',
      plant: [
        'create table diary (user_id uuid primary key)',
        'alter table diary enable row level security, force row level security',
      ],
      finds: /^diary .* has no policy/,
      severity: 'critical',
    },
    {
      check: 'triggers',
      plant: ['alter table chats disable trigger chats_touch'],
      finds: /^The trigger chats_touch of chats/,
      severity: 'critical',
    },
    {
      check: 'prepared transactions',
      plant: ['begin; create table half_done ()', `prepare transaction 'somebody''s'`],
      finds: /prepared transaction/,
    },
    {
      check: 'slots',
      plant: [`select pg_create_physical_replication_slot('gone', true)`],
      finds: /^Nobody reads from the slot gone/,
    },
    {
      check: 'synchronous standbys',
      plant: [`alter system set synchronous_standby_names = 'nobody'`],
      finds: /every commit waits/,
      severity: 'critical',
    },
    {
      check: 'dead rows',
      plant: [
        'create table wide (id int, filler text) with (autovacuum_enabled = false)',
        WIDE,
        'delete from wide where id % 10 > 0',
        'select pg_stat_force_next_flush()',
      ],
      finds: /^wide has 18,000 dead rows/,
    },
    {
      check: 'bloat',
      plant: [
        'create table wide (id int, filler text) with (autovacuum_enabled = false)',
        'alter table wide alter column filler set storage plain, owner to studently_owner',
        WIDE,
        'delete from wide where id % 10 > 0',
        'select pg_stat_force_next_flush()',
        'vacuum (analyze) wide',
      ],
      finds: /^wide takes 39\.1 MB for rows that need about/,
    },
    {
      check: 'constraints',
      plant: ['alter table chats add constraint chats_new check (version > 0) not valid'],
      finds: /^The constraint chats_new of chats does not vouch/,
    },
    {
      check: 'invalid indexes',
      plant: [`update pg_index set indisvalid = false where indexrelid = 'chats_newest'::regclass`],
      finds: /^The index chats_newest is invalid/,
      severity: 'critical',
    },
    {
      check: 'duplicate indexes',
      plant: ['create index chats_twice on chats (user_id, created_at desc, id desc)'],
      finds: /^The index chats_twice is the same as chats_newest/,
    },
    {
      check: 'unused indexes',
      plant: [
        'create table read (id int primary key, other int)',
        'insert into read values (1, 1)',
        'create index read_other on read (other)',
        'set enable_seqscan = off; do $$ begin for n in 1..1100 loop perform from read where id = 1; end loop; end $$',
        'select pg_stat_force_next_flush()',
      ],
      finds: /^None of [\d,]+ reads of its table has used the index read_other/,
    },
    {
      check: 'missing indexes',
      plant: ['create table likes (id int primary key, liker uuid constraint likes_liker references users (id))'],
      finds: /^The foreign key likes_liker of likes has no index/,
    },
    {
      check: 'orphans',
      deep: true,
      plant: ['set session_replication_role = replica', `insert into chats (user_id, title) values ('${randomUUID()}', 'x')`],
      finds: /^1 rows of chats refer to what is not there \(chats_user_id_fkey\)/,
      severity: 'critical',
    },
    {
      check: 'check constraints',
      deep: true,
      plant: [
        'create table narrow (id int primary key)',
        'alter table narrow owner to studently_owner',
        'insert into narrow values (7)',
        'alter table narrow add constraint narrow_below check (id < 5) not valid',
        `update pg_constraint set convalidated = true where conname = 'narrow_below'`,
      ],
      finds: /^1 rows of narrow are what narrow_below forbids/,
      severity: 'critical',
    },
    {
      check: 'amcheck',
      deep: true,
      plant: ['drop extension amcheck'],
      finds: /amcheck is not there/,
    },
  ];

  it.each(faults)(
    'DM-3 DM-4 TB-5 finds $check and names what mends it: $finds',
    async ({ check, plant, finds, severity, deep }) => {
      await run(...plant);
      await reloaded();
      const found = await findingsOf(patient({ deep }));
      expect(found).toEqual([
        { check, severity: severity ?? 'warning', what: expect.stringMatching(finds), mend: expect.any(String) },
      ]);
      const [{ mend }] = found as [(typeof found)[number]];
      if (check === 'check constraints') return; // it shows the rows: nobody can know what they should be
      runMend(mend, url);
      await reloaded();
      expect(await findingsOf(patient({ deep }))).toEqual([]);
    },
    60_000,
  );

  it('takes no index for invalid that is just being built', async () => {
    const [writer, builder] = [new Client(url), new Client(url)];
    await Promise.all([writer, builder].map((client) => client.connect()));
    try {
      await writer.query(`begin; update document_types set type = type`);
      const built = builder.query('create index concurrently being_built on document_types (type, type)');
      const waits = `select from pg_stat_progress_create_index where index_relid = to_regclass('being_built')`;
      while ((await run(waits)).length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
      expect(await findingsOf(patient({ only: ['invalid indexes'] }))).toEqual([]);
      await writer.query('commit');
      await built;
    } finally {
      await Promise.all([writer, builder].map((client) => client.end()));
    }
  }, 60_000);

  it('finds a transaction that was left open for minutes', async () => {
    const client = new Client(url);
    client.on('error', () => undefined);
    await client.connect();
    await client.query('begin; select 1');
    const open = async () =>
      (await run(transactions.sql)) as unknown as { pid: number; login: string; state: string; seconds: number }[];
    const row = (await open()).find(({ state }) => state === 'idle in transaction')!;
    const eyes = { target: { url, embedded: false }, settings: loadSettings(settings) };
    expect(row.seconds).toBeLessThan(300);
    expect(transactions.judge(row, eyes)).toBeUndefined();
    const later = transactions.judge({ ...row, seconds: 420 }, eyes)!; // the same row five minutes later
    expect(later).toMatchObject({
      severity: 'warning',
      what: expect.stringMatching(/^postgres has a transaction open for 7 min/),
    });
    const ended = new Promise<void>((resolve) => client.once('end', resolve));
    runMend(later.mend, url);
    await ended;
    expect((await open()).filter(({ pid }) => pid === row.pid)).toEqual([]);
  });

  it('DM-4 finds a gap in a chat, a wrong count, and what the search has of messages that are not there', async () => {
    const checks = { deep: true, only: ['messages', 'turns'] };
    await run(
      `insert into users (email, password_hash) values ('ada@example.org', '$argon2id$x')`,
      `insert into chats (user_id, title, message_count) select id, 'x', 2 from users`,
      `insert into chat_messages (user_id, chat_id, seq, role, content)
         select user_id, id, seq, 'user', 'Why?' from chats, generate_series(1, 2) seq`,
      'update chats set message_count = 1',
    );
    const [count] = await findingsOf(patient(checks));
    expect(count).toMatchObject({
      check: 'messages',
      severity: 'critical',
      what: expect.stringMatching(/says that it has 1 messages, and has 2/),
    });
    runMend(count!.mend, url);
    expect(await findingsOf(patient(checks))).toEqual([]);
    await run(
      `insert into chat_turns (user_id, id, chat_id, seq, lexemes_sealed)
         select user_id, uuid_generate_v4(), id, 9, '' from chats where message_count > 0`,
    );
    const [turns] = await findingsOf(patient(checks));
    expect(turns).toMatchObject({ check: 'turns', severity: 'warning' });
    runMend(turns!.mend, url);
    expect(await findingsOf(patient(checks))).toEqual([]);
    await run('delete from chat_messages where seq = 1');
    expect(await findingsOf(patient(checks))).toMatchObject([
      { check: 'messages', what: 'A chat has 1 messages and the last of them is number 2: some are lost.' },
    ]);
    await run('delete from chats');
    expect(await findingsOf(patient(checks))).toEqual([]);
  }, 60_000);

  it('says what a login does not see, instead of that all is well', async () => {
    const mine = { url: server.appUrl('studently'), settings: { ...settings, DATABASE_MIGRATION_URL: undefined } };
    expect(await findingsOf(mine)).toMatchObject([
      { check: 'sight', mend: expect.stringContaining('DATABASE_MIGRATION_URL') },
      { check: 'sight', mend: expect.stringContaining('DATABASE_MIGRATION_URL') },
    ]);
    await onServer(`create role guard login password 'of the guard'`, 'grant studently_owner to guard');
    const guards = { url: Object.assign(new URL(url), { username: 'guard', password: 'of the guard' }).href, settings };
    const [blind] = await findingsOf(guards);
    expect(blind).toMatchObject({ check: 'sight', mend: 'grant pg_monitor to guard;' });
    runMend(blind!.mend, url);
    expect(await findingsOf(guards)).toEqual([]);
    const [unable] = await findingsOf({ ...guards, deep: true });
    expect(unable).toMatchObject({ check: 'amcheck', mend: expect.stringMatching(/^grant execute on function .* to guard;$/) });
    runMend(unable!.mend, url);
    expect(await findingsOf({ ...guards, deep: true })).toEqual([]);
    await runIn(url, ['drop owned by guard']);
    await onServer('drop role guard');
  }, 60_000);

  it('finds a Redis without a bound, one that evicts jobs, one that is a replica and one that is away', async () => {
    for (const [fault, finds] of [
      ['config set maxmemory 0', /may take all of the machine's memory/],
      ['config set maxmemory-policy allkeys-lru', /carries jobs and evicts keys \(allkeys-lru\)/],
      ['replicaof 127.0.0.1 1', /is a replica: it takes no writes/],
    ] as const) {
      runMend(`$ redis-cli -p ${redis.port} ${fault}`, url);
      const found = await findingsOf(patient());
      expect(found).toMatchObject([{ check: 'redis', what: expect.stringMatching(finds) }]);
      runMend(found[0]!.mend, url);
      if (fault.endsWith('allkeys-lru')) runMend(`$ redis-cli -p ${redis.port} config set maxmemory-policy volatile-lru`, url);
      expect(await findingsOf(patient())).toEqual([]);
    }
    const away = `redis://:secret@127.0.0.1:${await freePort()}`;
    const found = await findingsOf(patient({ settings: { ...settings, REDIS_URL: away } }));
    expect(found).toMatchObject([
      { check: 'redis', severity: 'critical', what: expect.stringMatching(/PostgreSQL answers everything/) },
    ]);
    expect(JSON.stringify(found)).not.toContain('secret');
  }, 60_000);

  it('finds an address that asks for no TLS, and takes "disable" for what somebody means', async () => {
    const elsewhere = 'postgres://studently_migrator:hidden-word@db.internal/studently';
    const found = await findingsOf(patient({ settings: { ...settings, DATABASE_MIGRATION_URL: elsewhere } }));
    expect(found).toMatchObject([
      { check: 'addresses', severity: 'warning', mend: expect.stringContaining('sslmode=verify-full') },
    ]);
    expect(JSON.stringify(found)).not.toContain('hidden-word');
    for (const mode of ['disable', 'verify-full']) {
      const mended = { ...settings, DATABASE_MIGRATION_URL: `${elsewhere}?sslmode=${mode}` };
      expect(await findingsOf(patient({ settings: mended }))).toEqual([]);
    }
  });

  it('a schema that is behind is a start that fails; a full disk is told by what it has to hold', async () => {
    await new Migrations({ url, embedded: false }).down();
    const [behind] = await findingsOf(patient());
    expect(behind).toMatchObject({
      check: 'start',
      what: expect.stringContaining('DB_MIGRATIONS_PENDING'),
      mend: '$ npx studently migrate up',
    });
    runMend(behind!.mend, url, { env: settings });
    expect(await findingsOf(patient())).toEqual([]);
    const GB = 1024 ** 3;
    expect([judgeDisk(5 * GB, 4 * GB), judgeDisk(4.9 * GB, 4 * GB)?.severity]).toEqual([undefined, 'critical']);
  }, 60_000);

  it('tells no value that it has read', async () => {
    await run(
      `insert into users (email, password_hash) values ('ada@example.org', '$argon2id$x')`,
      `insert into chats (user_id, title) select id, 'a secret of a learner' from users`,
      'alter table chats add constraint chats_number check (title::int > 0) not valid',
    );
    const found = await findingsOf(patient({ deep: true }));
    expect(found.map(({ check, what }) => [check, what])).toEqual([
      ['constraints', expect.stringMatching(/^The constraint chats_number of chats/)],
      ['check constraints', 'Could not be examined (SQLSTATE 22P02).'],
    ]);
    expect(JSON.stringify(found)).not.toContain('secret');
  });

  /** The postmaster reads its files again a moment after it was asked to, and notes when. */
  async function reloaded(): Promise<void> {
    const [{ at }] = (await onServer('select pg_conf_load_time()::text as at')) as [{ at: string }];
    await onServer('select pg_reload_conf()');
    for (;;) {
      const [{ done }] = (await onServer(`select pg_conf_load_time() > '${at}' as done`)) as [{ done: boolean }];
      if (done) return;
    }
  }
});
