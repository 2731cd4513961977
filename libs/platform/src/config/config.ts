import { readFileSync } from 'node:fs';
import { z } from 'zod';

const flag = z.enum(['true', 'false']).transform((value) => value === 'true');
const count = (min: number, max: number) => z.coerce.number().int().min(min).max(max);
const postgresUrl = z.string().regex(/^postgres(ql)?:\/\//, 'must start with postgres://');
const redisUrl = z.string().regex(/^rediss?:\/\//, 'must start with redis://');

/** Rules between two settings are checked even where a single one is wrong, so that all faults are named at once. */
const always = () => true;

/** Every setting, with its default. The names are those of the environment. */
const Settings = z
  .object({
    HOST: z.string().min(1).default('127.0.0.1'),
    PORT: count(0, 65_535).default(3000),
    DATABASE_URL: postgresUrl.optional(),
    DATABASE_MIGRATION_URL: postgresUrl.optional(),
    DATABASE_POOL_SIZE: count(1, 1000).default(10),
    REDIS_URL: redisUrl.optional(),
    REDIS_SESSIONS_URL: redisUrl.optional(),
    STUDENTLY_DATA_DIR: z.string().min(1).default('.studently'),
    /** By default on where everything is embedded. */
    STUDENTLY_SAMPLE: z.enum(['on', 'off']).optional(),
    BOOTSTRAP_ADMIN_EMAIL: z.email().optional(),
    BOOTSTRAP_ADMIN_PASSWORD: z.string().min(15).optional(),
    LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
    LOG_ACCESS: flag.default(true),
    DRAIN_SECONDS: z.coerce.number().min(0).max(300).default(1),
  })
  .refine((settings) => !settings.REDIS_URL || settings.DATABASE_URL, {
    when: always,
    path: ['REDIS_URL'],
    message: 'needs DATABASE_URL: without it the platform is embedded and keeps its own memory',
  })
  .refine((settings) => !settings.BOOTSTRAP_ADMIN_EMAIL === !settings.BOOTSTRAP_ADMIN_PASSWORD, {
    when: always,
    path: ['BOOTSTRAP_ADMIN_EMAIL'],
    message: 'and BOOTSTRAP_ADMIN_PASSWORD go together',
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

/**
 * Reads the settings from the environment; `NAME_FILE` names a file that holds the value of `NAME`.
 * An empty variable counts as absent.
 * @throws ConfigurationError naming every fault (never a value: it may be a secret)
 */
export function loadSettings(environment: NodeJS.ProcessEnv = process.env): Settings {
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
