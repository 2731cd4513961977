import { isIP } from 'node:net';
import { BESIDE_THE_POOL, connectionsNeeded, FOR_OPERATORS } from '../../persistence/connection-budget';
import { HEARS_OF_SESSIONS } from '../../persistence/lone-connection';
import { inWords, judging, literal, type Check, type Finding } from '../check';

interface Pools {
  processes: number;
  max: number;
  reserved: number;
}

const pools = judging<Pools>({
  name: 'pools',
  served: true,
  needs: 'monitor',
  sql: `select current_setting('max_connections')::int as max, current_setting('superuser_reserved_connections')::int as reserved,
          (select count(*)::int from pg_stat_activity where application_name = ${literal(HEARS_OF_SESSIONS)}) as processes`,
  judge: ({ processes, max, reserved }, { settings }) => {
    if (isPooled(settings)) return undefined; // PgBouncer's default_pool_size is what counts
    const each = settings.DATABASE_POOL_SIZE + BESIDE_THE_POOL;
    const least = Math.max(processes, settings.REDIS_URL ? 2 : 1); // with Redis a worker is needed
    const needed = connectionsNeeded(least, settings.DATABASE_POOL_SIZE, reserved);
    if (needed <= max) return undefined;
    return {
      severity: 'critical',
      what:
        `${inWords(least)} processes open up to ${inWords(least * each)} connections (${each} each); with ${reserved} reserved ones and ` +
        `${FOR_OPERATORS} for operators that is more than max_connections = ${inWords(max)}. Requests are answered 503.`,
      mend: `alter system set max_connections = ${needed}; -- then restart PostgreSQL; or lower DATABASE_POOL_SIZE`,
    };
  },
});

/** An address of its own for migrations, elsewhere than that of the API. */
function isPooled({
  DATABASE_URL: api,
  DATABASE_MIGRATION_URL: direct,
}: { [name in 'DATABASE_URL' | 'DATABASE_MIGRATION_URL']?: string }) {
  return Boolean(api && direct && new URL(api).host !== new URL(direct).host);
}

const plaintext = judging<{ login: string; address: string; count: number; offered: boolean }>({
  name: 'plaintext',
  served: true,
  needs: 'monitor',
  sql: `select quote_ident(usename) as login, host(client_addr) as address, count(*)::int as count, current_setting('ssl') = 'on' as offered
        from pg_stat_ssl s join pg_stat_activity a using (pid)
        where not s.ssl and host(client_addr) not in ('127.0.0.1', '::1') group by 1, 2 order by 1, 2`,
  judge: ({ login, address, count, offered }, { settings }) => {
    const isTrusted = settings.DATABASE_URL?.includes('sslmode=disable');
    if (!offered && isTrusted) return undefined;
    return {
      severity: 'warning',
      what: `${login} speaks to PostgreSQL from ${address} without TLS (${inWords(count)} connections): whoever is between reads along.`,
      mend: offered
        ? `$ sed -i 's/^host /hostssl /' pg_hba.conf   # as deploy/postgres/pg_hba.tls.conf; then: select pg_reload_conf()`
        : `$ echo "include 'tls.conf'" >> postgresql.conf   # deploy/postgres/tls.conf, with a certificate; then restart`,
    };
  },
});

/** What the settings say of the way there. Somebody who has written sslmode=disable trusts the network. */
const addresses: Check = {
  name: 'addresses',
  served: true,
  examine: async ({ settings }) => {
    const databases = (['DATABASE_URL', 'DATABASE_MIGRATION_URL'] as const).map((name): Finding | undefined => {
      const url = settings[name] ? new URL(settings[name]) : undefined;
      if (!url || url.searchParams.has('sslmode') || isLocal(url.hostname)) return undefined;
      return {
        severity: 'warning',
        what: `${name} asks for no TLS: whoever is between reads along, or answers in the place of PostgreSQL.`,
        mend: `$ export ${name}="$${name}?sslmode=verify-full&sslrootcert=/run/secrets/ca.crt"   # sslmode=disable if you trust the network`,
      };
    });
    return databases;
  },
};

export const isLocal = (hostname: string): boolean => {
  const name = hostname.replace(/^\[(.+)\]$/, '$1');
  return name === '' || name === 'localhost' || name === '::1' || (isIP(name) === 4 && name.startsWith('127.'));
};

const LONG_SECONDS = 300;

interface Open {
  pid: number;
  login: string;
  state: string;
  seconds: number;
}

/** Those of the platform end within 5 s. Vacuum removes nothing that an open one might still see. */
export const transactions = judging<Open>({
  name: 'transactions',
  needs: 'monitor',
  served: true,
  sql: `select pid, coalesce(quote_ident(usename), 'nobody') as login, state, extract(epoch from clock_timestamp() - xact_start)::float8 as seconds
        from pg_stat_activity where xact_start is not null and backend_type = 'client backend' and pid <> pg_backend_pid() order by xact_start`,
  judge: ({ pid, login, state, seconds }) =>
    seconds < LONG_SECONDS
      ? undefined
      : {
          severity: 'warning',
          what: `${login} has a transaction open for ${inWords(Math.round(seconds / 60))} min (${state}): nothing that died since then is vacuumed.`,
          mend: `select pg_terminate_backend(${pid});`,
        },
});

/** They survive a restart, and hold their locks. The platform makes none. */
const prepared = judging<{ gid: string }>({
  name: 'prepared transactions',
  served: true,
  sql: `select gid from pg_prepared_xacts where database = current_database() order by 1`,
  judge: ({ gid }) => ({
    severity: 'warning',
    what: `A prepared transaction is left open, with its locks. The platform makes none.`,
    mend: `rollback prepared ${literal(gid)};`,
  }),
});

export const CONNECTION_CHECKS: readonly Check[] = [pools, addresses, plaintext, transactions, prepared];
