import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { Migrations } from '../../libs/platform/src/migrations/migrations';
import { ApiProcess } from '../support/api-process';
import { HttpClient, newLearner } from '../support/http';
import { startPostgres, startRedis, withClient, type PostgresServer, type RedisServer } from '../support/servers';
import { studently } from '../support/studently';

/** `name = 'value'` of each line. */
const settingsIn = (conf: string): Record<string, string> =>
  Object.fromEntries([...conf.matchAll(/^(\w+) = '?(.*?)'?$/gm)].map(([, name, value]) => [name!, value!]));

describe('studently tune', () => {
  const folder = mkdtempSync(join(tmpdir(), 'studently-tune-'));
  let server: PostgresServer;
  let redis: RedisServer;
  let settings: NodeJS.ProcessEnv;
  let rendered: Record<string, string>;
  const url = () => server.url('studently');
  const run = async <Row extends object>(statement: string): Promise<Row[]> =>
    withClient(url(), async (client) => (await client.query<Row & Record<string, unknown>>(statement)).rows);

  beforeAll(async () => {
    const words = ['--memory', '1GB', '--cpus', '2', '--processes', '1', '--out', folder];
    expect(await studently({ DATABASE_POOL_SIZE: '10' }, 'tune', ...words)).toMatchObject({ code: 0, err: '' });
    rendered = settingsIn(readFileSync(join(folder, 'postgresql.conf'), 'utf8'));
    [server, redis] = await Promise.all([startPostgres(rendered), startRedis()]);
    await withClient(server.url('postgres'), (client) => client.query('create database studently'));
    await new Migrations({ url: url(), embedded: false }).up();
    await run('grant studently_app, studently_worker to studently_login');
    settings = { DATABASE_URL: server.appUrl('studently'), DATABASE_MIGRATION_URL: url() };
  }, 60_000);
  afterAll(async () => {
    await server?.remove();
    await redis?.stop();
    rmSync(folder, { recursive: true });
  });

  it('DB-4 DB-6 DB-7 DB-8 DB-9 renders a file that a server starts with, and SHOW says each value of it', async () => {
    expect(Object.keys(rendered)).toEqual(
      expect.arrayContaining([
        'max_connections',
        'shared_buffers',
        'work_mem',
        'maintenance_work_mem',
        'shared_preload_libraries',
      ]),
    );
    for (const [name, value] of Object.entries(rendered)) {
      const [shown] = await run<Record<string, string>>(`show ${name}`);
      expect([name, shown![name]]).toEqual([name, value]);
    }
    // 1 × (10 + 2) + 3 reserved + 5 for operators
    expect(rendered['max_connections']).toBe('20');
  });

  it('DB-10 finds no difference between what it has written and the server that runs on it', async () => {
    writeFileSync(join(folder, 'own.conf'), "datestyle = 'iso, mdy'\n"); // DateStyle, to the server
    for (const file of ['tuning.json', 'postgresql.conf', 'own.conf']) {
      const diff = await studently(settings, '--json', 'config', 'diff', join(folder, file));
      expect([file, diff.code, diff.err]).toEqual([file, 0, '']);
      expect(JSON.parse(diff.out).differences).toEqual([]);
    }
  }, 60_000);

  it('DB-10 lists what is not as declared and what needs a restart, with 2, and what it names mends it', async () => {
    await withClient(url(), async (client) => {
      await client.query(`alter system set work_mem = '5MB'`);
      await client.query('select pg_reload_conf()');
    });
    const declared = join(folder, 'declared.json');
    writeFileSync(declared, JSON.stringify({ workMem: rendered['work_mem'], sharedBuffers: '300MB', jit: 'off' }));
    const diff = await studently(settings, '--json', 'config', 'diff', declared);
    expect({ code: diff.code, ...JSON.parse(diff.out) }).toEqual({
      code: 2,
      equal: 1,
      differences: [
        {
          ...{ server: 'postgresql', name: 'shared_buffers', declared: '300MB', live: '256MB', needsRestart: true },
          mend: `alter system set shared_buffers = '300MB'; -- then restart PostgreSQL`,
        },
        {
          ...{ server: 'postgresql', name: 'work_mem', declared: rendered['work_mem'], live: '5MB', needsRestart: false },
          mend: `alter system set work_mem = '${rendered['work_mem']}'; select pg_reload_conf();`,
        },
      ],
      notAsked: [],
    });
    const text = await studently(settings, 'config', 'diff', declared);
    expect(text.out).toMatch(
      /^setting +declared +live\nshared_buffers +300MB +256MB +needs a restart\nwork_mem +\w+ +5MB\n→ alter system/,
    );
    await withClient(url(), async (client) => {
      for (const statement of JSON.parse(diff.out).differences[1].mend.split('; ')) await client.query(statement);
      await client.query(`alter system set shared_buffers = '300MB'`);
    });
    await server.stop();
    server = await server.restart();
    expect((await studently(settings, 'config', 'diff', declared)).code).toBe(0);
  }, 60_000);

  it('DB-10 compares Redis as well, and sees as much of it as the login may', async () => {
    const withRedis = { ...settings, REDIS_URL: redis.url };
    const diff = await studently(withRedis, '--json', 'config', 'diff', join(folder, 'redis.conf'));
    expect(diff.code).toBe(2);
    const { differences } = JSON.parse(diff.out) as { differences: { name: string; mend: string }[] };
    expect(differences.map(({ name }) => name)).toEqual(['maxmemory', 'maxmemory-policy', 'appendonly']);
    expect(differences[0]).toMatchObject({
      declared: '64mb',
      live: '0',
      mend: expect.stringContaining('config set maxmemory 64mb'),
    });
    const without = await studently(settings, 'config', 'diff', join(folder, 'redis.conf'));
    expect(without).toMatchObject({
      code: 0,
      out: '0 as declared, 0 not; 5 of Redis were not looked at: REDIS_URL is not set\n',
    });
  });

  it('takes a container for as large as its limit', async () => {
    const limited = { NODE_OPTIONS: '--import=data:text/javascript,process.constrainedMemory=()=>1073741824' };
    const { out } = await studently(limited, '--json', 'tune', '--processes', '1');
    expect((JSON.parse(out) as { machine: object }).machine).toMatchObject({ memory: 1024 ** 3 });
  });

  it('DB-6 the connection after the last is refused with 53300, and the API answers 503 with Retry-After', async () => {
    const api = await ApiProcess.start({ DATABASE_URL: settings['DATABASE_URL'], LOG_ACCESS: 'false' });
    const held: Client[] = [];
    try {
      const { http } = await newLearner(new HttpClient(api.url));
      const [max] = await run<{ n: number }>(
        `select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as n`,
      );
      let refused: unknown;
      while (!refused) {
        const client = new Client(settings['DATABASE_URL']);
        client.on('error', () => undefined);
        await client.connect().then(
          () => held.push(client),
          (error: unknown) => (refused = error),
        );
        expect(held.length).toBeLessThanOrEqual(max!.n);
      }
      expect(refused).toMatchObject({ code: '53300' });
      const answers = await Promise.all(Array.from({ length: 30 }, () => http.get('/v1/chats')));
      const turnedAway = answers.filter(({ status }) => status === 503);
      expect(answers.filter(({ status }) => status !== 200 && status !== 503)).toEqual([]);
      expect(turnedAway.length).toBeGreaterThan(0);
      for (const { headers, body } of turnedAway) {
        expect([headers.get('retry-after'), body.code]).toEqual(['1', 'DATABASE_OVERLOADED']);
      }
      await Promise.all(held.splice(0).map((client) => client.end()));
      expect((await http.get('/v1/chats')).status).toBe(200);
    } finally {
      await Promise.all(held.map((client) => client.end()));
      await api.stop();
    }
  }, 60_000);

  it('DB-9 an HNSW graph fits into the rendered maintenance_work_mem, and not into 8MB', async () => {
    const notices = async (memory: string): Promise<string[]> =>
      withClient(url(), async (client) => {
        const heard: string[] = [];
        client.on('notice', ({ message }) => heard.push(message ?? ''));
        await client.query(`set maintenance_work_mem = '${memory}'`);
        await client.query('create index vectors_nearest on vectors using hnsw (embedding vector_cosine_ops)');
        await client.query('drop index vectors_nearest');
        return heard;
      });
    await run(
      `create table vectors as select (select array_agg(random() - 0.5 + 0 * n * i)::real[]::vector(1536) from generate_series(1, 1536) i) as embedding
       from generate_series(1, 1500) n`,
    );
    expect(await notices('8MB')).toEqual([expect.stringMatching(/^hnsw graph no longer fits into maintenance_work_mem after/)]);
    expect(await notices(rendered['maintenance_work_mem']!)).toEqual([]);
  }, 60_000);

  it('DB-6 DB-7 DB-8 refuses what is no size and no setting, and what does not fit, and names each', async () => {
    const wishes = join(folder, 'wishes.json');
    const own = join(folder, 'own.json');
    writeFileSync(wishes, JSON.stringify({ sharedBuffers: 'banana', colour: 'red' }));
    writeFileSync(own, JSON.stringify({ workMem: '1GB' }));
    const [banana, workload, invalid, large] = await Promise.all([
      studently({}, 'tune', '--memory', 'banana'),
      studently({}, 'tune', '--workload', 'gaming'),
      studently({}, 'tune', '--config', wishes),
      studently({}, 'tune', '--memory', '8GB', '--cpus', '4', '--config', own),
    ]);
    expect([banana.code, workload.code]).toEqual([64, 64]);
    expect(invalid).toMatchObject({ code: 78, err: expect.stringMatching(/TUNING_INVALID[^]*sharedBuffers[^]*colour/) });
    expect(large).toMatchObject({ code: 78, err: expect.stringContaining('TUNING_OVER_BUDGET') });
  }, 60_000);

  it('DB-10 writes nothing with --dry-run, the same twice, and over no file of somebody else', async () => {
    const out = join(folder, 'conf');
    const tune = (...words: string[]) => studently({}, 'tune', '--memory', '2GB', '--cpus', '2', '--out', out, ...words);
    expect((await tune('--dry-run')).out).toContain(`${join(out, 'postgresql.conf')}: would be written`);
    expect(() => readFileSync(join(out, 'postgresql.conf'))).toThrow('ENOENT');
    expect((await tune()).code).toBe(0);
    expect((await tune()).out).toBe(
      ['postgresql.conf', 'redis.conf', 'tuning.json'].map((name) => `${join(out, name)}: unchanged\n`).join(''),
    );
    writeFileSync(join(out, 'redis.conf'), 'maxmemory 1gb\n');
    expect(await tune()).toMatchObject({ code: 78, err: expect.stringContaining('TUNING_FOREIGN_FILE') });
    expect(readFileSync(join(out, 'redis.conf'), 'utf8')).toBe('maxmemory 1gb\n');
  }, 60_000);
});
