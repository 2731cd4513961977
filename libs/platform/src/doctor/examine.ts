import type { Settings } from '../config/config';
import type { DatabaseTarget } from '../persistence/connection';
import { openConnection } from '../persistence/open-connection';
import type { Check, Eyes, Finding, Severity } from './check';

/** For what no healthy server takes long for. */
const READY_MS = 5000;

/** A check that takes longer than that is told as one that could not be done; those that read all data may. */
const LONGEST_LOOK_MS = 30_000;

class Silent extends Error {}

export interface Report {
  /** Names of the checks that were done. */
  readonly examined: string[];
  /** And of those that say nothing here, or for this login. */
  readonly left: { check: string; why: string }[];
  /** The worst first. */
  readonly findings: ({ check: string } & Finding)[];
}

export interface Examination {
  readonly target: DatabaseTarget;
  readonly settings: Settings;
  readonly checks: readonly Check[];
  readonly deep: boolean;
  /** Hears of which check is under way, and how far it is. */
  tell: (check: string, done: number, of: number) => void;
}

const WORST_FIRST: readonly Severity[] = ['critical', 'warning', 'note'];

/** Whether it is well, as far as this login can see. Changes nothing. @throws ConfigurationError if it cannot connect */
export async function examine({ target, settings, checks, deep, tell }: Examination): Promise<Report> {
  const client = await openConnection(target, { patient: true });
  const within = (ms: number | undefined, text: string) => {
    const statement = { text, ...(ms !== undefined && { query_timeout: ms }) };
    return client.query(statement);
  };
  const soon = (text: string) => within(READY_MS, text);
  /** One transaction each: an embedded database has one session for everybody, and between two messages serves somebody else. */
  const ask = async <Row extends object>(sql: string, { asOwner = false, endless = false } = {}): Promise<Row[]> => {
    const longest = endless ? 0 : LONGEST_LOOK_MS;
    const role = asOwner ? 'set local role studently_owner;' : '';
    try {
      await soon(
        `begin read only; set local search_path = pg_catalog, public; set local lock_timeout = 3000;
         set local statement_timeout = ${longest}; ${role}`,
      );
      // The server gives up before we do.
      const { rows } = await within(endless ? undefined : longest + READY_MS, sql);
      await soon('commit');
      return rows as Row[];
    } catch (error) {
      await soon('rollback').catch(() => {
        throw new Silent('The database no longer answers.');
      });
      throw error;
    }
  };
  const report: Report = { examined: [], left: [], findings: [] };
  try {
    const may = await rightsOf(ask);
    const lacking = new Set<NonNullable<Check['needs']>>();
    for (const check of checks) {
      if (check.deep && !deep) continue;
      if (check.served && target.embedded) {
        report.left.push({ check: check.name, why: 'it says nothing of an embedded database' });
        continue;
      }
      if (check.needs && !may[check.needs]) {
        lacking.add(check.needs);
        report.left.push({ check: check.name, why: LACKING[check.needs].why });
        continue;
      }
      tell(check.name, 0, 1);
      const eyes: Eyes = {
        target,
        settings,
        ask: (sql, options) => ask(sql, { ...options, endless: check.deep }),
        tell: (done, of) => tell(check.name, done, of),
      };
      const found = await check.examine(eyes).catch((error: unknown) => {
        if (error instanceof Silent) throw error;
        return [notDone(error)];
      });
      report.examined.push(check.name);
      report.findings.push(...found.flatMap((finding) => (finding ? [{ check: check.name, ...finding }] : [])));
    }
    for (const right of lacking) report.findings.push({ check: 'sight', ...LACKING[right].finding(may) });
  } finally {
    await client.end().catch(() => undefined);
  }
  report.findings.sort((a, b) => WORST_FIRST.indexOf(a.severity) - WORST_FIRST.indexOf(b.severity));
  return report;
}

interface Rights {
  login: string;
  /** What a login that does not inherit is granted it has to act as first, and the doctor acts as itself. */
  inherits: boolean;
  monitor: boolean;
  owner: boolean;
}

const RIGHTS = `
  select quote_ident(current_user) as login, (select rolinherit from pg_roles where rolname = current_user) as inherits, pg_has_role('pg_monitor', 'usage') as monitor,
    coalesce((select pg_has_role(oid, 'member') from pg_roles where rolname = 'studently_owner'), false) as owner`;

const rightsOf = async (ask: <Row extends object>(sql: string) => Promise<Row[]>) => (await ask<Rights>(RIGHTS))[0]!;

const ANOTHER_LOGIN = '$ export DATABASE_MIGRATION_URL=postgres://studently_migrator:…';

/** Who sees only a part says so, instead of that all is well. */
const LACKING = {
  monitor: {
    why: 'the login does not see the statistics of others',
    finding: ({ login, inherits }: Rights): Finding => ({
      severity: 'warning',
      what: `The login ${login} does not see the statistics of others, so a part could not be examined.`,
      mend: inherits ? `grant pg_monitor to ${login};` : ANOTHER_LOGIN,
    }),
  },
  owner: {
    why: 'the login may not act as studently_owner',
    finding: ({ login }: Rights): Finding => ({
      severity: 'warning',
      what: `The login ${login} may not act as studently_owner, so no rows could be examined.`,
      mend: ANOTHER_LOGIN,
    }),
  },
};

/** The message may hold values of rows; the code does not. */
function notDone(error: unknown): Finding {
  const code = (error as { code?: string }).code;
  const why = code ? `SQLSTATE ${code}` : error instanceof Error ? error.name : 'failure';
  return {
    severity: 'warning',
    what: `Could not be examined (${why}).`,
    mend: '$ npx studently doctor   # again; if it stays so, the log of PostgreSQL says more',
  };
}
