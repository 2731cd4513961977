import type { Database } from '@studently/platform';

export interface Statement {
  sql: string;
  values: readonly unknown[];
}

/** What a query asks of the database, taken from the query itself: a limit that is made of it cannot fall behind. */
export async function statementOf(ask: (database: Database) => Promise<unknown>): Promise<Statement> {
  let statement: Statement | undefined;
  const query: Database['query'] = async (_actor, sql, values = []) => {
    statement = { sql, values };
    return [{}] as never;
  };
  await ask({ query } as Database);
  if (!statement) throw new Error('The query has not asked the database');
  return statement;
}

/** The statement with its values in it, for pgbench. */
export function inlined({ sql, values }: Statement): string {
  return sql.replace(/\$(\d+)/g, (_, place: string) => literal(values[Number(place) - 1]));
}

function literal(value: unknown): string {
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string') return `'${value.replaceAll("'", "''")}'`;
  throw new TypeError('pgbench is given texts and numbers');
}
