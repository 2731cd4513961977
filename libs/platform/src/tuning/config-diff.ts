import type { RedisClient } from '../cache/redis-client';
import { RedisConnections } from '../cache/redis-connections';
import { ConfigurationError, type Settings } from '../config/config';
import type { DatabaseTarget } from '../persistence/connection';
import { openConnection } from '../persistence/open-connection';
import { serverNameOf } from './render';
import { readWishes, type SettingName } from './tuning';

/** What somebody has declared: values by the names that the servers have for them. */
export interface Declared {
  readonly postgresql: Record<string, string>;
  readonly redis: Record<string, string>;
}

export interface Difference {
  readonly server: 'postgresql' | 'redis';
  readonly name: string;
  readonly declared: string;
  /** Undefined: there is no such setting, or the login may not see it. */
  readonly live?: string;
  /** What makes the declared value the live one. */
  readonly mend: string;
  readonly needsRestart: boolean;
}

export interface ConfigDiff {
  /** How many declared settings are as declared. */
  readonly equal: number;
  readonly differences: Difference[];
  /** Declared settings of Redis that were compared with nothing, as REDIS_URL is not set. */
  readonly notAsked: string[];
}

/** A line of postgresql.conf or redis.conf; of the latter, names have a hyphen or stand without `=`. */
const LINE = /^\s*([a-z][\w.-]*)(?:\s*=\s*|\s+)(?:'((?:[^']|'')*)'|"([^"]*)"|([^\s#]+))\s*(?:#.*)?$/i;

/**
 * Reads tuning.json, postgresql.conf or redis.conf, told apart by what is in them.
 * @throws ConfigurationError `TUNING_INVALID` naming the first fault
 */
export function readDeclared(text: string, isRedis: boolean): Declared {
  const declared: Declared = { postgresql: {}, redis: {} };
  if (text.trimStart().startsWith('{')) {
    for (const [key, value] of Object.entries(readWishes(parse(text)))) {
      const { redis, name } = serverNameOf(key as SettingName);
      declared[redis ? 'redis' : 'postgresql'][name] = String(value);
    }
    return declared;
  }
  for (const [at, line] of text.split('\n').entries()) {
    if (/^\s*(#|$)/.test(line)) continue;
    const [, name, quoted, double, bare] = LINE.exec(line) ?? [];
    if (name === undefined) throw invalid(`line ${at + 1} is no setting`);
    declared[isRedis ? 'redis' : 'postgresql'][name.toLowerCase()] = quoted?.replaceAll("''", "'") ?? double ?? bare!;
  }
  return declared;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalid('it is no JSON');
  }
}

const invalid = (fault: string) => new ConfigurationError('TUNING_INVALID', `The declared settings are not valid: ${fault}.`);

/** What the servers have that is not what was declared. @throws ConfigurationError if one cannot be reached */
export async function diffConfig(target: DatabaseTarget, settings: Settings, declared: Declared): Promise<ConfigDiff> {
  const found = [...(await diffPostgres(target, declared.postgresql)), ...(await diffRedis(settings, declared.redis))];
  const differences = found.filter((one) => one !== undefined);
  const notAsked = settings.REDIS_URL ? [] : Object.keys(declared.redis);
  return { equal: found.length - differences.length, differences, notAsked };
}

interface Live {
  name: string;
  setting: string;
  shown: string;
  unit: string | null;
  vartype: string;
  context: string;
  pending: boolean;
  file: string | null;
}

/** As the server has it for everybody, whatever is set for this login. */
const LIVE = `
  select lower(name) as name, reset_val as setting, case when reset_val = setting then current_setting(name) else reset_val || coalesce(unit, '') end as shown,
    unit, case name when 'DateStyle' then 'enum' else vartype end as vartype, context, pending_restart as pending, sourcefile as file
  from pg_settings where lower(name) = any($1)`;

async function diffPostgres(target: DatabaseTarget, declared: Record<string, string>) {
  const names = Object.keys(declared);
  if (names.length === 0) return [];
  const client = await openConnection(target);
  try {
    const { rows } = await client.query<Live>(LIVE, [names.map((name) => name.toLowerCase())]);
    const live = new Map(rows.map((row) => [row.name, row]));
    return names.map((name) => comparePostgres(name, declared[name]!, live.get(name.toLowerCase())));
  } finally {
    await client.end();
  }
}

function comparePostgres(name: string, declared: string, live: Live | undefined): Difference | undefined {
  const common = { server: 'postgresql' as const, name, declared };
  if (!live) {
    const mend = 'grant pg_monitor to <login>; -- if the server has this setting';
    return { ...common, mend, needsRestart: false };
  }
  if (!live.pending && meaningOf(declared, live) === meaningOf(live.setting, live)) return undefined;
  const needsRestart = live.context === 'postmaster';
  const end = needsRestart ? ' -- then restart PostgreSQL' : ' select pg_reload_conf();';
  const mend = `alter system set ${name} = ${valueOf(declared, live)};${end}`;
  const written = live.pending ? `${live.shown}, until a restart` : live.shown;
  return { ...common, live: written, mend, needsRestart };
}

/** Lists are several values: in one pair of quotes they would be one name, and the server would not start. */
const valueOf = (declared: string, { vartype }: Live): string => {
  if (vartype === 'string' && /^[\w]+(, ?[\w]+)*$/.test(declared)) return declared;
  return `'${declared.replaceAll("'", "''")}'`;
};

/** In bytes or milliseconds. */
const UNITS: Record<string, number> = {
  ...{ B: 1, kB: 1024, '8kB': 8192, MB: 1024 ** 2, '16MB': 16 * 1024 ** 2, GB: 1024 ** 3, TB: 1024 ** 4 },
  ...{ us: 0.001, ms: 1, s: 1000, min: 60_000, h: 3_600_000, d: 86_400_000 },
};

/** Two texts that mean the same to the server are the same here. */
function meaningOf(text: string, { unit, vartype }: Pick<Live, 'unit' | 'vartype'>): string {
  const plain = text.trim();
  if (vartype === 'bool') return /^(on|true|yes|1)$/i.test(plain) ? 'on' : /^(off|false|no|0)$/i.test(plain) ? 'off' : plain;
  if (vartype === 'integer' || vartype === 'real') {
    const [, number, given] = /^(-?[\d.]+(?:e-?\d+)?)\s*([A-Za-z]*)$/.exec(plain) ?? [];
    if (number === undefined) return plain;
    if (Number(number) < 0) return number; // -1 is no size
    return String(Number(number) * (UNITS[given || (unit ?? '')] ?? 1));
  }
  return vartype === 'enum'
    ? plain.toLowerCase()
    : plain
        .split(',')
        .map((part) => part.trim())
        .join(',');
}

/** Of a cluster each node. */
async function diffRedis(settings: Settings, declared: Record<string, string>): Promise<(Difference | undefined)[]> {
  const names = Object.keys(declared);
  if (names.length === 0 || !settings.REDIS_URL) return [];
  const connections = new RedisConnections(settings);
  try {
    const client = connections.to(settings.REDIS_URL);
    await connections.checkVersions();
    const nodes = await Promise.all(nodesOf(client).map(liveOf));
    return names.map((name) => {
      const values = nodes.map((node) => node(name));
      const other = values.find((value) => value === undefined || meaningInRedis(value) !== meaningInRedis(declared[name]!));
      if (values.every((value) => value !== undefined && meaningInRedis(value) === meaningInRedis(declared[name]!)))
        return undefined;
      const mend = `$ redis-cli config set ${name} ${declared[name] || '""'}   # and in redis.conf`;
      return { server: 'redis', name, declared: declared[name]!, live: other, mend, needsRestart: false };
    });
  } finally {
    await connections.onApplicationShutdown();
  }
}

function nodesOf(client: RedisClient) {
  try {
    return client.nodes();
  } catch {
    throw new ConfigurationError(
      'REDIS_UNREACHABLE',
      'Redis of REDIS_URL does not answer: check the address and that it runs.',
    );
  }
}

type Node = ReturnType<RedisClient['nodes']>[number];

/** CONFIG is not for the login of the API (deploy/redis/users.acl); what INFO tells is. */
async function liveOf(node: Node): Promise<(name: string) => string | undefined> {
  try {
    const pairs = ((await node.send('CONFIG', 'GET', '*')) as Buffer[]).map(String);
    const live = new Map(pairs.flatMap((name, at) => (at % 2 === 0 ? [[name, pairs[at + 1]!] as const] : [])));
    return (name) => live.get(name);
  } catch (error) {
    if (!/NOPERM/.test((error as Error).message)) {
      throw new ConfigurationError(
        'REDIS_UNREACHABLE',
        'Redis of REDIS_URL does not answer: check the address and that it runs.',
      );
    }
    const info = String(await node.send('INFO'));
    const field = (name: string) => new RegExp(`^${name}:(.*?)\r?$`, 'm').exec(info)?.[1];
    const told: Record<string, string | undefined> = {
      maxmemory: field('maxmemory'),
      'maxmemory-policy': field('maxmemory_policy'),
      appendonly: field('aof_enabled') === '1' ? 'yes' : 'no',
    };
    return (name) => told[name];
  }
}

const REDIS_UNITS: Record<string, number> = {
  '': 1,
  b: 1,
  k: 1000,
  m: 1000 ** 2,
  g: 1000 ** 3,
  kb: 1024,
  mb: 1024 ** 2,
  gb: 1024 ** 3,
};

function meaningInRedis(text: string): string {
  const [, number, unit] = /^(\d+)\s*([a-z]*)$/i.exec(text.trim()) ?? [];
  const factor = unit === undefined ? undefined : REDIS_UNITS[unit.toLowerCase()];
  return factor === undefined ? text.trim() : String(Number(number) * factor);
}
