import type { OwnerSession } from '@studently/platform';
import { inSteps, type Course } from './steps';
import { tablesOf, tableState, type TableState } from './tables';

export interface TableMaintained {
  table: string;
  statement: string;
  before: TableState;
  /** Missing in a dry run. */
  after?: TableState;
  milliseconds: number;
}

/**
 * Frees the room of dead rows, while everything runs. VACUUM leaves an index alone while fewer than 2 % of a table's pages have
 * dead rows, and a vector index would keep the vectors of deleted passages, which searches step over: there it has to look.
 * @see https://www.postgresql.org/docs/15/sql-vacuum.html INDEX_CLEANUP
 */
export const vacuum = (session: OwnerSession, names: readonly string[], course: Course): Promise<TableMaintained[]> =>
  onTables(session, names, course, ({ table, hasVectorIndex }) =>
    hasVectorIndex ? `vacuum (index_cleanup on) ${table}` : `vacuum ${table}`,
  );

/** Tells the planner what the tables hold now. */
export const analyze = (session: OwnerSession, names: readonly string[], course: Course): Promise<TableMaintained[]> =>
  onTables(session, names, course, ({ table }) => `analyze ${table}`);

async function onTables(
  session: OwnerSession,
  names: readonly string[],
  course: Course,
  statementFor: (state: TableState) => string,
): Promise<TableMaintained[]> {
  const states = await tablesOf(session, names);
  return inSteps(
    states,
    ({ table }) => table,
    course,
    async (before) => {
      const { table } = before;
      const statement = statementFor(before);
      if (course.dryRun) return { table, statement, before };
      await session.execute(statement);
      return { table, statement, before, after: await tableState(session, table) };
    },
  );
}
