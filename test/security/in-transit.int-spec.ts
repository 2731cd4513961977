import { randomUUID } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkServer, Migrations } from '@studently/platform';
import { Redis } from 'ioredis';
import { until } from '../e2e/support';
import { ApiProcess } from '../support/api-process';
import { dataFolderOf } from '../support/data-folder';
import { Authority } from '../support/certificates';
import { RedisCluster } from '../support/redis-cluster';
import { startPostgres, startRedis, withClient, type PostgresServer } from '../support/servers';
import { startTlsPostgres, startTlsRedis, type TlsRedis } from '../support/tls-servers';
import { WireRecorder } from '../support/wire-recorder';

const ACL = readFileSync(join(__dirname, '../../deploy/redis/users.acl'), 'utf8');
const REDIS_PASSWORD = 'redis-secret';

/** An address with other parts: a host, a port, parameters. */
const changed = (address: string, parts: Partial<Record<'hostname' | 'port' | 'username' | 'password', string>>, search = '') =>
  Object.assign(new URL(address), parts, { search }).href;

describe('encryption in transit', () => {
  const folder = mkdtempSync(join(tmpdir(), 'studently-tls-'));
  chmodSync(folder, 0o711); // PostgreSQL runs as another user
  const ca = new Authority(join(folder, 'ca'));
  const otherCa = new Authority(join(folder, 'other-ca'));
  const good = ca.issue('good', 'DNS:localhost,IP:127.0.0.1');
  const verified = `?sslmode=verify-full&sslrootcert=${ca.certFile}`;
  let postgres: PostgresServer;
  let redis: TlsRedis;
  const started: { stop(): Promise<unknown> }[] = [];

  beforeAll(async () => {
    postgres = await startTlsPostgres(good);
    const database = 'platform';
    await withClient(postgres.url('postgres') + verified, (client) => client.query(`create database ${database}`));
    await new Migrations({ url: postgres.url(database) + verified, embedded: false }).up();
    await withClient(postgres.url('postgres') + verified, (client) =>
      client.query('grant studently_app, studently_worker to studently_login'),
    );
    redis = await startTlsRedis(good, ca.certFile, ACL.replace('CHANGE_ME', REDIS_PASSWORD), folder);
  }, 60_000);
  afterEach(async () => {
    for (const one of started.splice(0).reverse()) await one.stop();
  });
  afterAll(async () => {
    await redis?.stop();
    await postgres?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  const appUrl = () => postgres.appUrl('platform');
  const secretOf = (address: string) => new URL(address).password;
  /** Why a start is refused, and that no secret is in it. */
  const refusal = async (url: string) => {
    const error = await checkServer({ url, embedded: false }).then(
      () => new Error('let in'),
      (reason: Error & { code: string; exitCode: number }) => reason,
    );
    expect(error.message).not.toContain(secretOf(url));
    return error as Error & { code?: string };
  };
  const tlsPostgresWith = async (certificate: ReturnType<Authority['issue']>) => {
    const server = await startTlsPostgres(certificate);
    started.push({ stop: () => server.remove() });
    return server.appUrl('postgres');
  };

  describe('SEC-3 SEC-11 to PostgreSQL, by verify-full', () => {
    it('lets us in where the certificate is of the authority and of the host, be it a name or an address', async () => {
      expect(await checkServer({ url: appUrl() + verified, embedded: false })).toEqual([]);
      expect(await checkServer({ url: changed(appUrl(), { hostname: 'localhost' }, verified), embedded: false })).toEqual([]);
    });

    it('refuses a server of another authority', async () => {
      const error = await refusal(`${appUrl()}?sslmode=verify-full&sslrootcert=${otherCa.certFile}`);
      expect(error).toMatchObject({ code: 'DATABASE_TLS_UNTRUSTED', exitCode: 78 });
      expect(error.message).toContain('sslrootcert');
      // Without sslrootcert it is the authorities that Node knows.
      expect(await refusal(`${appUrl()}?sslmode=verify-full`)).toMatchObject({ code: 'DATABASE_TLS_UNTRUSTED' });
    });

    it('refuses an expired certificate', async () => {
      const expired = ca.issue('expired', 'DNS:localhost,IP:127.0.0.1', { expired: true });
      expect(await refusal((await tlsPostgresWith(expired)) + verified)).toMatchObject({ code: 'DATABASE_TLS_EXPIRED' });
    });

    it('refuses the certificate of another host, also where we ask by an address', async () => {
      // pg alone would hold an address against "localhost", and let this in.
      const url = await tlsPostgresWith(ca.issue('named', 'DNS:localhost'));
      expect(await refusal(url + verified)).toMatchObject({ code: 'DATABASE_TLS_WRONG_HOST' });
      const elsewhere = await tlsPostgresWith(ca.issue('elsewhere', 'DNS:db.example.org'));
      expect(await refusal(changed(elsewhere, { hostname: 'localhost' }, verified))).toMatchObject({
        code: 'DATABASE_TLS_WRONG_HOST',
      });
    });

    it('refuses a server without TLS, and sends it nothing', async () => {
      const plain = await startPostgres();
      started.push({ stop: () => plain.remove() });
      const recorder = await WireRecorder.start(plain.port);
      const error = await refusal(changed(plain.appUrl('postgres'), { port: String(recorder.port) }, verified));
      recorder.close();
      expect(error).toMatchObject({ code: 'DATABASE_TLS_NOT_OFFERED' });
      expect(recorder.has('studently_login')).toBe(false);
    });

    it('a plaintext client is refused by hostssl, and told what to do', async () => {
      const error = await refusal(appUrl());
      expect(error).toMatchObject({ code: 'DATABASE_TLS_REQUIRED' });
      expect(error.message).toContain('sslmode=verify-full');
    });

    it('refuses an authority whose file is not there', async () => {
      const error = await refusal(`${appUrl()}?sslmode=verify-full&sslrootcert=/does/not/exist`);
      expect(error).toMatchObject({ code: 'DATABASE_TLS_CA_UNREADABLE' });
    });
  });

  const redisUrl = (user = `studently:${REDIS_PASSWORD}`, port = redis.port) => `rediss://${user}@localhost:${port}`;
  const settings = (more: NodeJS.ProcessEnv = {}) => ({
    DATABASE_URL: appUrl() + verified,
    REDIS_URL: redisUrl(),
    REDIS_CA_FILE: ca.certFile,
    ...more,
  });

  describe('SEC-3 to Redis', () => {
    const end = async (more: NodeJS.ProcessEnv) => {
      const { code, output } = await ApiProcess.run(settings(more));
      expect(output).not.toContain(REDIS_PASSWORD);
      return { code, output };
    };
    it.each([
      ['another authority', 'REDIS_TLS_UNTRUSTED', () => ({ REDIS_CA_FILE: otherCa.certFile })],
      ['a wrong password', 'REDIS_LOGIN_REFUSED', () => ({ REDIS_URL: redisUrl('studently:wrong') })],
      ['nobody', 'REDIS_LOGIN_REFUSED', () => ({ REDIS_URL: redisUrl('default:x') })],
    ])('a start with %s ends with %s', async (_, code, more) => {
      expect(await end(more())).toEqual({ code: 78, output: expect.stringContaining(code) });
    });

    it.each([
      ['expired', 'REDIS_TLS_EXPIRED', () => ca.issue('redis-old', 'DNS:localhost', { expired: true })],
      ['for another host', 'REDIS_TLS_WRONG_HOST', () => ca.issue('redis-else', 'DNS:cache.example.org')],
    ])('refuses a certificate that is %s', async (_, code, issue) => {
      const other = await startTlsRedis(issue(), ca.certFile, ACL.replace('CHANGE_ME', REDIS_PASSWORD), folder);
      started.push(other);
      expect(await end({ REDIS_URL: redisUrl(undefined, other.port) })).toEqual({
        code: 78,
        output: expect.stringContaining(code),
      });
    });

    it('sends nothing to a server without TLS', async () => {
      const plain = await startRedis();
      started.push(plain);
      const recorder = await WireRecorder.start(plain.port);
      const api = await ApiProcess.start(settings({ REDIS_URL: redisUrl(undefined, recorder.port) }));
      started.push(api, { stop: async () => recorder.close() });
      expect(api.log).toContain('Redis is not reachable');
      expect(recorder.bytes).toBeGreaterThan(0);
      expect(recorder.has(REDIS_PASSWORD)).toBe(false);
    });
  });

  it('SEC-3 RED-2 to every node of a cluster, those too that no address names', async () => {
    const aclFile = join(folder, 'cluster.acl');
    writeFileSync(
      aclFile,
      `user default on >cluster-secret ~* &* +@all\n${ACL.replace('user default off\n', '').replace('CHANGE_ME', REDIS_PASSWORD)}`,
    );
    const node = ca.issue('node', 'IP:127.0.0.1', { usage: 'serverAuth,clientAuth' });
    const tls = ['--tls-cert-file', node.certFile, '--tls-key-file', node.keyFile, '--tls-ca-cert-file', ca.certFile];
    const among = [
      '--tls-auth-clients',
      'no',
      '--tls-replication',
      'yes',
      '--tls-cluster',
      'yes',
      '--masterauth',
      'cluster-secret',
    ];
    const cluster = await RedisCluster.start({
      serverOptions: (port) => ['--port', '0', '--tls-port', String(port), ...tls, ...among, '--aclfile', aclFile],
      environment: { REDISCLI_AUTH: 'cluster-secret', REDIS_CLI_OPTIONS: `--tls --cacert ${ca.certFile}` },
    });
    started.push(cluster);
    const clusterUrl = (user = `studently:${REDIS_PASSWORD}`) =>
      cluster.addresses
        .slice(0, 2)
        .map((address) => `rediss://${user}@${address}`)
        .join(',');
    const start = { REDIS_MODE: 'cluster', REDIS_URL: clusterUrl() };
    const refused: [code: string, more: NodeJS.ProcessEnv][] = [
      ['REDIS_TLS_UNTRUSTED', { ...start, REDIS_CA_FILE: otherCa.certFile }],
      ['REDIS_LOGIN_REFUSED', { ...start, REDIS_URL: clusterUrl('studently:wrong') }],
    ];
    for (const [reason, more] of refused) {
      const { code, output } = await ApiProcess.run(settings(more));
      expect({ code, output }).toEqual({ code: 78, output: expect.stringContaining(reason) });
      expect(output).not.toContain(REDIS_PASSWORD);
    }
    const api = await ApiProcess.start(settings(start));
    started.push(api);
    expect((await (await fetch(`${api.url}/health/ready`)).json()) as object).toMatchObject({ status: 'ok' });
    expect(api.log).not.toContain('not reachable');
  }, 60_000);

  it('SEC-3 RED-16 a connection to a server that is not to be trusted can be ended at any time, and ends nothing else', async () => {
    const tls = { ca: readFileSync(otherCa.certFile) };
    const faults = new Set<string | undefined>();
    for (let round = 0; round < 20; round++) {
      await Promise.all(
        Array.from({ length: 10 }, async (_, ms) => {
          const connection = new Redis({ port: redis.port, tls, retryStrategy: () => null });
          connection.on('error', ({ code }: NodeJS.ErrnoException) => faults.add(code));
          await sleep(ms);
          if (connection.status === 'end') return;
          connection.disconnect();
          await new Promise((ended) => connection.once('end', ended));
        }),
      );
    }
    expect(faults).toContain('SELF_SIGNED_CERT_IN_CHAIN');
  }, 60_000);

  it('SEC-3 jobs reach their worker through a Redis with TLS, as a user who may do no more than it has to', async () => {
    for (const url of [redisUrl('studently:wrong'), redisUrl('default:x')]) {
      const { code, output } = await ApiProcess.run(settings({ REDIS_JOBS_URL: url }), 'worker');
      expect({ code, output }).toEqual({ code: 78, output: expect.stringContaining('REDIS_LOGIN_REFUSED') });
    }
    const worker = await ApiProcess.start(settings({}), 'worker');
    started.push(worker);
    await withClient(postgres.url('platform') + verified, async (client) => {
      await client.query(`insert into jobs (job, learner_id, subject_id) values ('destroy-keys', $1::uuid, $1::text)`, [
        randomUUID(),
      ]);
      await until(async () => (await client.query('select 1 from jobs')).rows.length === 0, 20_000);
    });
  }, 60_000);

  it('SEC-7 nothing that is asked or answered can be read on the wire: PostgreSQL, Redis, HTTPS', async () => {
    const [database, cache] = await Promise.all([WireRecorder.start(postgres.port), WireRecorder.start(redis.port)]);
    const api = await ApiProcess.start(
      settings({
        ...dataFolderOf({ DATABASE_URL: appUrl() }), // the same database, by another port
        DATABASE_URL: changed(appUrl(), { port: String(database.port) }, verified),
        REDIS_URL: redisUrl(undefined, cache.port),
        HTTPS_KEY_FILE: good.keyFile,
        HTTPS_CERT_FILE: good.certFile,
      }),
    );
    started.push(api);
    expect(api.log).toContain(`https://127.0.0.1:${api.port}`);
    const web = await WireRecorder.start(api.port);
    const canary = `canary-${randomUUID()}`;
    const send = (path: string, body?: object, token?: string) => askByHttps(web.port, ca.certFile, path, body, token);
    const account = { email: `${canary}@example.org`, password: `a password of ${randomUUID()}` };
    const { id } = await send('/v1/users', { ...account, profile: { firstName: canary, lastName: canary } });
    const { token } = await send('/v1/sessions', account);
    for (let read = 0; read < 3; read++)
      expect(JSON.stringify(await send(`/v1/users/${id}`, undefined, token))).toContain(canary);

    await withClient(postgres.url('postgres') + verified, async (client) => {
      const { rows } = await client.query(
        `select count(*)::int as all, count(*) filter (where s.ssl)::int as encrypted, min(s.version) as version
         from pg_stat_ssl s join pg_stat_activity a using (pid) where a.usename = 'studently_login'`,
      );
      expect(rows[0].all).toBeGreaterThan(0);
      expect(rows[0]).toEqual({ all: rows[0].all, encrypted: rows[0].all, version: 'TLSv1.3' });
    });
    for (const recorder of [database, cache, web]) {
      recorder.close();
      expect(recorder.bytes).toBeGreaterThan(1000);
      for (const secret of [canary, token, REDIS_PASSWORD, secretOf(appUrl())]) expect(recorder.has(secret)).toBe(false);
    }
  }, 60_000);

  it('SEC-7 (the recorder reads what is not encrypted)', async () => {
    const plain = await startPostgres();
    started.push({ stop: () => plain.remove() });
    const recorder = await WireRecorder.start(plain.port);
    await withClient(changed(plain.url('postgres'), { port: String(recorder.port) }), (client) =>
      client.query('select $1', ['canary']),
    );
    recorder.close();
    expect(recorder.has('canary')).toBe(true);
  });

  it('SEC-3 a start with half of the settings of HTTPS is refused', async () => {
    const { code, output } = await ApiProcess.run({ HTTPS_KEY_FILE: good.keyFile });
    expect({ code, output }).toEqual({ code: 78, output: expect.stringContaining('HTTPS_KEY and HTTPS_CERT go together') });
  });
});

function askByHttps(port: number, caFile: string, path: string, body?: object, token?: string): Promise<any> {
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        host: 'localhost',
        port,
        path,
        method: body ? 'POST' : 'GET',
        ca: readFileSync(caFile),
        headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
      },
      (answer) => {
        let text = '';
        answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
        answer.on('end', () => resolve(JSON.parse(text)));
      },
    );
    sent.on('error', reject);
    sent.end(body && JSON.stringify(body));
  });
}
