import { type Database, SYSTEM } from '@studently/platform';

/** A mean is worth comparing from so many calls on. */
const ENOUGH_CALLS = 20;
/** So many times its mean of the week before, and by so much (ms), is slower. */
const SLOWER = { times: 2, byMs: 1 };

export interface StatementTimes {
  statement: string;
  sql: string;
  calls: number;
  /** Of the last 24 hours, in ms. */
  mean: number;
  /** Of all statements' time in these 24 hours. */
  share: number;
  /** Mean of the seven days before, in ms; null: it was not there, or too seldom. */
  before: number | null;
  isSlower: boolean;
}

export interface SlowExecution {
  at: string;
  requestId: string | null;
  statement: string;
  sql: string;
  milliseconds: number;
  outcome: string;
  plan: unknown;
}

const TIMES = `
  with recent as (
    select statement, sum(calls) as calls, sum(milliseconds) as milliseconds from operations.statement_hours
    where hour >= date_trunc('hour', now()) - interval '24 hours' group by statement
  ), former as (
    select statement, sum(milliseconds) / sum(calls) as mean from operations.statement_hours
    where hour < date_trunc('hour', now()) - interval '24 hours' and hour >= date_trunc('hour', now()) - interval '8 days'
    group by statement having sum(calls) >= ${ENOUGH_CALLS}
  )
  select statement, c.sql, r.calls::float8 as calls, r.milliseconds / r.calls as mean,
    r.milliseconds / nullif(sum(r.milliseconds) over (), 0) as share, f.mean as before,
    coalesce(r.calls >= ${ENOUGH_CALLS} and r.milliseconds / r.calls >= f.mean * ${SLOWER.times}
             and r.milliseconds / r.calls >= f.mean + ${SLOWER.byMs}, false) as "isSlower"
  from recent r join operations.statement_counters c using (statement) left join former f using (statement)
  where r.calls > 0 order by "isSlower" desc, r.milliseconds desc limit $1`;

const EXECUTIONS = `
  select iso8601(at) as at, request_id as "requestId", statement, sql, milliseconds, outcome, plan from operations.slow_statements
  where $1::text is null or request_id = $1 or statement = $1 order by id desc limit $2`;

/** Those that take most of the time, and first those that are slower than in the week before. */
export const statementTimes = (database: Database, most: number): Promise<StatementTimes[]> =>
  database.read<StatementTimes & Record<string, unknown>>(SYSTEM, TIMES, [most]);

/** The latest that took longer than SLOW_STATEMENT_MS: all, those of a request, or those of a statement. */
export const slowExecutions = (database: Database, of: string | undefined, most: number): Promise<SlowExecution[]> =>
  database.read<SlowExecution & Record<string, unknown>>(SYSTEM, EXECUTIONS, [of ?? null, most]);
