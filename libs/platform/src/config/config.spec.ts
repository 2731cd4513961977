import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigurationError, loadSettings } from './config';
import { redisNodes } from './redis-addresses';

const refusal = (environment: NodeJS.ProcessEnv): ConfigurationError => {
  try {
    loadSettings(environment);
  } catch (error) {
    return error as ConfigurationError;
  }
  throw new Error('was accepted');
};
const SERVED = { DATABASE_URL: 'postgres://app:secret@db/platform' };

describe('The configuration', () => {
  it('is complete without any variable: embedded, on this machine only', () => {
    expect(loadSettings({})).toMatchObject({ HOST: '127.0.0.1', PORT: 3000, LOG_LEVEL: 'info', LOG_ACCESS: true });
    expect(loadSettings({})).toMatchObject({ RATE_LIMIT: 600, RATE_LIMIT_AUTH: 20 });
    expect(loadSettings({})).not.toHaveProperty('DATABASE_URL');
  });

  it('asks for a Node that is new enough, and says where there is one', () => {
    for (const old of ['20.20.2', '24.8.0']) {
      expect(() => loadSettings({}, old)).toThrow(expect.objectContaining({ code: 'NODE_TOO_OLD', exitCode: 78 }));
      expect(() => loadSettings({}, old)).toThrow(/npx node/);
    }
    for (const good of ['24.9.0', '26.0.1']) expect(loadSettings({}, good).PORT).toBe(3000);
  });

  it('takes variables with their types, and an empty one as absent', () => {
    const settings = loadSettings({
      ...SERVED,
      PORT: '8080',
      LOG_ACCESS: 'false',
      DRAIN_SECONDS: '0.5',
      HOST: '',
      REDIS_URL: 'redis://r',
    });
    expect(settings).toMatchObject({
      PORT: 8080,
      LOG_ACCESS: false,
      DRAIN_SECONDS: 0.5,
      HOST: '127.0.0.1',
      REDIS_URL: 'redis://r',
    });
  });

  it('ignores what is not its own', () => {
    expect(loadSettings({ PATH: '/bin', UNKNOWN: 'x' })).toEqual(loadSettings({}));
  });

  it.each([
    ['PORT', 'http'],
    ['PORT', '65536'],
    ['PORT', '-1'],
    ['PORT', '80.5'],
    ['DATABASE_URL', 'mysql://db/platform'],
    ['DATABASE_URL', 'postgres://db/platform?sslmode=require'],
    ['DATABASE_URL', 'postgres://db/platform?sslmode=prefer'],
    ['DATABASE_URL', 'postgres://db/platform?sslmode=allow'],
    ['DATABASE_URL', 'postgres://db/platform?sslmode=no-verify'],
    ['DATABASE_URL', 'postgres://db/platform?sslmode=verify-ca'],
    ['DATABASE_MIGRATION_URL', 'postgres://db/platform?sslmode=verify-full&sslcert=x'],
    ['DATABASE_URL', 'postgres://app:pass/word@db/platform'],
    ['DATABASE_MIGRATION_URL', 'postgres://app:per%cent@db/platform'],
    ['DATABASE_POOL_SIZE', '0'],
    ['MAINTENANCE_WINDOW', '2-4'],
    ['MAINTENANCE_WINDOW', '02:00-24:30'],
    ['BACKUP_SCHEDULE', 'on'], // DATABASE_MIGRATION_URL is missing
    ['LOG_KEEP_DAYS', '0'],
    ['SLOW_STATEMENT_MS', '0'],
    ['REDIS_CA', '/etc/ca.crt'],
    ['HTTPS_KEY', 'secret'],
    ['REDIS_URL', 'http://redis'],
    ['REDIS_URL', 'redis://'],
    ['REDIS_URL', 'redis://one,two'],
    ['REDIS_URL', 'redis://one:6379,two:6379'],
    ['REDIS_URL', 'redis://one,redis://two'], // REDIS_MODE=cluster is missing
    ['REDIS_SESSIONS_URL', 'redis://one,redis://two'],
    ['REDIS_JOBS_URL', 'redis://one,redis://two'],
    ['REDIS_MODE', 'sentinel'],
    ['REDIS_MODE', 'cluster'], // REDIS_URL is missing
    ['RATE_LIMIT', '0'],
    ['RATE_LIMIT_AUTH', 'many'],
    ['LOG_LEVEL', 'loud'],
    ['LOG_ACCESS', 'yes'],
    ['DRAIN_SECONDS', '-1'],
    ['BOOTSTRAP_ADMIN_EMAIL', 'admin'],
    ['AUDIT_SIGNING_KEY', 'secret'],
    ['EMBEDDINGS_PROVIDER', 'magic'],
    ['EMBEDDINGS_PROVIDER', 'openai'], // EMBEDDINGS_URL is missing
    ['EMBEDDINGS_URL', 'api.example.org/v1'],
    ['EMBEDDINGS_URL', 'file:///etc/passwd'],
    ['EMBEDDINGS_API_KEY', 'two words'],
    ['EMBEDDINGS_MODEL', 'a model'],
    ['EMBEDDINGS_DIMENSIONS', '1537'],
    ['EMBEDDINGS_THREADS', '0'],
  ])('refuses %s=%s', (name, value) => {
    const error = refusal({ ...SERVED, [name]: value });
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', exitCode: 78 });
    expect(error.message).toContain(`- ${name} `);
  });

  it.each([
    ['nodes by different schemes', 'redis://one,rediss://two'],
    ['nodes by different logins', 'redis://a:b@one,redis://a:c@two'],
    ['a number of a database', 'redis://one/2,redis://two'],
  ])('RED-2 refuses a cluster of %s', (_, value) => {
    expect(refusal({ ...SERVED, REDIS_MODE: 'cluster', REDIS_URL: value }).message).toMatch(/^ {2}- REDIS_URL [^:]*(:| )/m);
  });

  it('RED-2 takes some nodes of a cluster, the comma of a password being none between nodes', () => {
    const urls = 'rediss://a:x,y@[::1]:7000,rediss://a:x,y@two:7001';
    const settings = loadSettings({ ...SERVED, REDIS_MODE: 'cluster', REDIS_URL: urls, REDIS_SESSIONS_URL: 'redis://one' });
    expect(settings.REDIS_URL).toBe(urls);
    expect(redisNodes(urls).map(({ hostname, port }) => `${hostname} ${port}`)).toEqual(['[::1] 7000', 'two 7001']);
  });

  it('names all faults at once, those between two settings too', () => {
    const { message } = refusal({
      PORT: 'x',
      LOG_LEVEL: 'loud',
      REDIS_URL: 'redis://r',
      BOOTSTRAP_ADMIN_EMAIL: 'admin@example.org',
      REDIS_SESSIONS_URL_FILE: '/does/not/exist',
    });
    const named = [...message.matchAll(/- (\w+) /g)].map((match) => match[1]);
    expect(named.sort()).toEqual(['BOOTSTRAP_ADMIN_EMAIL', 'LOG_LEVEL', 'PORT', 'REDIS_SESSIONS_URL_FILE', 'REDIS_URL']);
  });

  it('never shows a value: it may be a secret', () => {
    const { message } = refusal({
      DATABASE_URL: 'postgre://app:canary-1@db',
      REDIS_URL: 'canary-2',
      BOOTSTRAP_ADMIN_EMAIL: 'canary-3',
      BOOTSTRAP_ADMIN_PASSWORD: 'canary-4',
      PORT: 'canary-5',
      EMBEDDINGS_URL: 'canary-7',
      EMBEDDINGS_API_KEY: 'canary-8 canary-9',
      LOG_LEVEL: 'canary-6',
    });
    expect(message).not.toContain('canary');
  });

  describe('from files', () => {
    const folder = mkdtempSync(join(tmpdir(), 'studently-config-'));
    afterAll(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'database-url');
    writeFileSync(file, `${SERVED.DATABASE_URL}\n`);

    it('reads NAME from the file that NAME_FILE names, without the line end', () => {
      expect(loadSettings({ DATABASE_URL_FILE: file }).DATABASE_URL).toBe(SERVED.DATABASE_URL);
    });

    it('prefers NAME to NAME_FILE', () => {
      expect(loadSettings({ DATABASE_URL: 'postgres://other', DATABASE_URL_FILE: file }).DATABASE_URL).toBe('postgres://other');
    });

    it('refuses a file that cannot be read, by its name', () => {
      expect(refusal({ DATABASE_URL_FILE: '/does/not/exist' }).message).toContain(
        'DATABASE_URL_FILE cannot be read: /does/not/exist',
      );
    });
  });
});
