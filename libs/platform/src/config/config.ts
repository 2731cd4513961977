import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { faultOfRedisAddresses, faultOfRedisMode } from './redis-addresses';
import { faultOfTlsParameters } from './tls-parameters';

/** A / # or % in a password ends it, or is half of a sign. */
function faultOfAddress(text: string): string | undefined {
  try {
    const { username, password, pathname } = new URL(text);
    for (const part of [username, password, pathname]) decodeURIComponent(part);
    return undefined;
  } catch {
    return text.startsWith('postgres')
      ? 'must be postgres://login:password@host:port/database, with other signs than letters and digits as %2F, %23, %25 …'
      : undefined;
  }
}

const flag = z.enum(['true', 'false']).transform((value) => value === 'true');
const count = (min: number, max: number) => z.coerce.number().int().min(min).max(max);
const textWithout = (faultOf: (text: string) => string | undefined) =>
  z.string().superRefine((text, context) => {
    const message = faultOf(text);
    if (message) context.addIssue({ code: 'custom', message });
  });
const postgresUrl = textWithout((text) => faultOfAddress(text) ?? faultOfTlsParameters(text)).regex(
  /^postgres(ql)?:\/\//,
  'must start with postgres://',
);
const pem = z.string().regex(/^-----BEGIN [A-Z ]+-----/, 'must be PEM, or …_FILE must name a file of it');
/** For a header, or a name: nothing that would have to be escaped. */
const token = (longest: number) =>
  z
    .string()
    .regex(/^[\x21-\x7e]+$/, 'must be of ASCII letters, digits and signs')
    .max(longest);
const httpUrl = z.url({ protocol: /^https?$/, error: 'must be an address that starts with https:// or http://' });
const redisUrl = textWithout(faultOfRedisAddresses);
const REDIS_URLS = ['REDIS_URL', 'REDIS_SESSIONS_URL', 'REDIS_JOBS_URL'] as const;

/** Rules between two settings are checked even where a single one is wrong, so that all faults are named at once. */
const always = () => true;

function isEd25519(text: string): boolean {
  try {
    return createPrivateKey(text).asymmetricKeyType === 'ed25519';
  } catch {
    return false;
  }
}

/** Every setting, with its default. The names are those of the environment. */
const Settings = z
  .object({
    HOST: z.string().min(1).default('127.0.0.1'),
    PORT: count(0, 65_535).default(3000),
    /** Of the worker's health and metrics. */
    WORKER_PORT: count(0, 65_535).default(3001),
    DATABASE_URL: postgresUrl.optional(),
    DATABASE_MIGRATION_URL: postgresUrl.optional(),
    /** Standbys that answer queries, separated by commas; behind each there may be several. */
    DATABASE_REPLICA_URLS: z
      .string()
      .transform((text) => text.split(',').map((url) => url.trim()))
      .pipe(z.array(postgresUrl))
      .optional(),
    /** Of a login that may replicate, for making standbys; by default the one of migrations. */
    DATABASE_REPLICATION_URL: postgresUrl.optional(),
    DATABASE_POOL_SIZE: count(1, 1000).default(10),
    /** What each REDIS_…URL leads to: one server, or a cluster, of which it names some nodes. */
    REDIS_MODE: z.enum(['single', 'cluster']).default('single'),
    REDIS_URL: redisUrl.optional(),
    REDIS_SESSIONS_URL: redisUrl.optional(),
    REDIS_JOBS_URL: redisUrl.optional(),
    REDIS_CA: pem.optional(),
    HTTPS_KEY: pem.optional(),
    HTTPS_CERT: pem.optional(),
    /** PEM. Without it, a key of the data folder's own. */
    AUDIT_SIGNING_KEY: z.string().refine(isEd25519, 'must be an Ed25519 private key in PEM').optional(),
    /** By default in the data folder. */
    AUDIT_ANCHOR_FILE: z.string().min(1).optional(),
    EMBEDDINGS_PROVIDER: z.enum(['local', 'openai']).default('local'),
    /** The model that comes along: how many threads, of 350 MB each. */
    EMBEDDINGS_THREADS: count(1, 16).default(1),
    /** Where `/embeddings` is asked for, in OpenAI's protocol. */
    EMBEDDINGS_URL: httpUrl.optional(),
    EMBEDDINGS_API_KEY: token(1000).optional(),
    EMBEDDINGS_MODEL: token(200).default('text-embedding-3-small'),
    /** Asked for where it is set, or where the model is one of OpenAI's; else the model's own, of up to 1536. */
    EMBEDDINGS_DIMENSIONS: count(1, 1536).optional(),
    /** While another endpoint takes over: the key is for its address alone. */
    EMBEDDINGS_NEXT_URL: httpUrl.optional(),
    EMBEDDINGS_NEXT_API_KEY: token(1000).optional(),
    STUDENTLY_DATA_DIR: z.string().min(1).default('.studently'),
    /** Both by default in STUDENTLY_DATA_DIR: master.key, keys. */
    MASTER_KEY_FILE: z.string().min(1).optional(),
    KEYS_DIR: z.string().min(1).optional(),
    /** Folder of PostgreSQL's programs: a restored copy is started with them. */
    POSTGRES_BIN: z.string().min(1).default('/usr/lib/postgresql/15/bin'),
    /** What pgBackRest calls this database. */
    BACKUP_STANZA: z
      .string()
      .regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}$/, 'must be a name of letters, digits, - and _')
      .default('studently'),
    /** Its configuration, if that is not where pgBackRest looks for it. */
    BACKUP_CONFIG: z.string().min(1).optional(),
    /** So many full backups; without it what the configuration of pgBackRest says, embedded 7. */
    BACKUP_KEEP: count(1, 9_999_999).optional(),
    /** Embedded: the repository, and what it is encrypted with; by default backups and backup.key in the data folder. */
    BACKUP_DIR: z.string().min(1).optional(),
    BACKUP_KEY: z
      .string()
      .regex(/^[0-9a-fA-F]{64}$/, 'must be 64 hexadecimal digits')
      .optional(),
    /** Backups each day and a drill each week, by whoever does the jobs: on the machine of PostgreSQL. */
    BACKUP_SCHEDULE: z.enum(['on', 'off']).default('off'),
    /** By default on where everything is embedded. */
    STUDENTLY_SAMPLE: z.enum(['on', 'off']).optional(),
    BOOTSTRAP_ADMIN_EMAIL: z.email().optional(),
    BOOTSTRAP_ADMIN_PASSWORD: z.string().min(15).optional(),
    /** Requests a minute and principal. */
    RATE_LIMIT: count(1, 1_000_000_000).default(600),
    /** Logins and registrations a minute and address. */
    RATE_LIMIT_AUTH: count(1, 1_000_000_000).default(20),
    LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
    LOG_ACCESS: flag.default(true),
    /** Where log lines go instead of stdout. */
    LOG_FILE: z.string().min(1).optional(),
    /** How long rotated logs are kept. */
    LOG_KEEP_DAYS: count(1, 3650).default(30),
    /** When the worker looks after the database by itself, in UTC; without it, never. */
    MAINTENANCE_WINDOW: z
      .string()
      .regex(/^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$/, 'must be like 02:00-04:30 (UTC)')
      .optional(),
    /** Statements that take longer are written down. */
    SLOW_STATEMENT_MS: count(1, 3_600_000).default(250),
    DRAIN_SECONDS: z.coerce.number().min(0).max(300).default(1),
  })
  .refine((settings) => !settings.REDIS_URL || settings.DATABASE_URL, {
    when: always,
    path: ['REDIS_URL'],
    message: 'needs DATABASE_URL: without it the platform is embedded and keeps its own memory',
  })
  .refine((settings) => !settings.DATABASE_REPLICA_URLS || settings.DATABASE_URL, {
    when: always,
    path: ['DATABASE_REPLICA_URLS'],
    message: 'needs DATABASE_URL: the primary, which they follow',
  })
  .refine((settings) => !settings.REDIS_JOBS_URL || settings.DATABASE_URL, {
    when: always,
    path: ['REDIS_JOBS_URL'],
    message: 'needs DATABASE_URL: without it the platform is embedded and does its jobs itself',
  })
  .refine((settings) => settings.REDIS_MODE !== 'cluster' || settings.REDIS_URL, {
    when: always,
    path: ['REDIS_MODE'],
    message: 'needs REDIS_URL: some nodes of the cluster, separated by commas',
  })
  .refine((settings) => !settings.MAINTENANCE_WINDOW || !settings.DATABASE_URL || settings.DATABASE_MIGRATION_URL, {
    when: always,
    path: ['MAINTENANCE_WINDOW'],
    message: 'needs DATABASE_MIGRATION_URL: the login that owns the tables',
  })
  .refine(
    ({ BACKUP_SCHEDULE, DATABASE_URL, DATABASE_MIGRATION_URL }) =>
      BACKUP_SCHEDULE !== 'on' || !DATABASE_URL || DATABASE_MIGRATION_URL,
    {
      when: always,
      path: ['BACKUP_SCHEDULE'],
      message: 'needs DATABASE_MIGRATION_URL: the login of the API may not count the rows that a drill compares',
    },
  )
  .superRefine(
    (settings, context) => {
      for (const name of REDIS_URLS) {
        const message = settings[name] && faultOfRedisMode(settings[name], settings.REDIS_MODE);
        if (message) context.addIssue({ code: 'custom', path: [name], message });
      }
    },
    { when: always },
  )
  .refine((settings) => settings.EMBEDDINGS_PROVIDER !== 'openai' || settings.EMBEDDINGS_URL, {
    when: always,
    path: ['EMBEDDINGS_PROVIDER'],
    message: 'openai needs EMBEDDINGS_URL, for example https://api.openai.com/v1',
  })
  .refine((settings) => !settings.BOOTSTRAP_ADMIN_EMAIL === !settings.BOOTSTRAP_ADMIN_PASSWORD, {
    when: always,
    path: ['BOOTSTRAP_ADMIN_EMAIL'],
    message: 'and BOOTSTRAP_ADMIN_PASSWORD go together',
  })
  .refine((settings) => !settings.HTTPS_KEY === !settings.HTTPS_CERT, {
    when: always,
    path: ['HTTPS_KEY'],
    message: 'and HTTPS_CERT go together (HTTPS_KEY_FILE, HTTPS_CERT_FILE)',
  });

export type Settings = z.infer<typeof Settings>;

/** The configuration is not usable. The message lists every fault, so that all can be mended at once. */
export class ConfigurationError extends Error {
  readonly exitCode = 78; // EX_CONFIG of sysexits.h
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
    this.name = 'ConfigurationError';
  }
}

/** Also scripts/prepare.mjs has it. */
const NODE_NEEDED = { major: 24, minor: 9 };

function refuseOldNode(version: string): void {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > NODE_NEEDED.major || (major === NODE_NEEDED.major && minor >= NODE_NEEDED.minor)) return;
  throw new ConfigurationError(
    'NODE_TOO_OLD',
    `This is Node ${version}, and ${NODE_NEEDED.major}.${NODE_NEEDED.minor} is needed. In the project's folder npm and npx bring it: npx node dist/api.js`,
  );
}

/**
 * Reads the settings from the environment; `NAME_FILE` names a file that holds the value of `NAME`.
 * An empty variable counts as absent.
 * @throws ConfigurationError naming every fault (never a value: it may be a secret)
 */
export function loadSettings(environment: NodeJS.ProcessEnv = process.env, node = process.versions.node): Settings {
  refuseOldNode(node);
  const faults: string[] = [];
  const given: Record<string, string> = {};
  for (const name of Object.keys(Settings.shape)) {
    const file = environment[`${name}_FILE`];
    const value = environment[name];
    if (value) given[name] = value;
    else if (file) {
      try {
        given[name] = readFileSync(file, 'utf8').trim();
      } catch {
        faults.push(`${name}_FILE cannot be read: ${file}`);
      }
    }
  }
  const result = Settings.safeParse(given);
  if (!result.success) faults.push(...result.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`));
  if (faults.length > 0 || !result.success) {
    throw new ConfigurationError('CONFIG_INVALID', `The configuration is not valid:\n  - ${faults.join('\n  - ')}`);
  }
  return result.data;
}

/** Token of the settings in Nest's container. */
export const SETTINGS = Symbol('SETTINGS');
