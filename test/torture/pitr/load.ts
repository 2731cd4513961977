import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from '../../support/database';
import { withClient } from '../../support/servers';
import type { TortureContext } from '../harness/torture';

/** A committed transaction: what it did to a row, and when it was committed (in milliseconds since 1970). */
export interface Change {
  n: number;
  op: 'put' | 'remove';
  id: number;
  value: string;
  at: number;
}

export interface Writers {
  goOn(milliseconds: number): Promise<void>;
  /** Ends them. @returns what they have committed; of a server that has died, what it has acknowledged, by this machine's clock */
  stop(): Promise<Change[]>;
  /** What the server has committed, in the order of the commits. */
  history(): Promise<Change[]>;
}

const WRITERS = 2;
const ROWS = 500;
const TABLES = `
  create table if not exists items (id int primary key, value text not null);
  create table if not exists journal (n serial primary key, op text not null, id int not null, value text not null)`;
/** Each takes a row's lock before its number, so that for each row the order of the numbers is that of the commits. */
const PUT = `
  with put as (insert into items values ($1, $2) on conflict (id) do update set value = excluded.value returning id)
  insert into journal (op, id, value) select 'put', id, $2 from put returning n`;
const REMOVE = `
  with removed as (delete from items where id = $1 returning id)
  insert into journal (op, id, value) select 'remove', $1, '' where exists (select from removed) returning n`;
const HISTORY = `select n, op, id, value, (extract(epoch from pg_xact_commit_timestamp(xmin)) * 1000)::float8 as at from journal order by at, n`;

/** Several that insert, change and delete rows, each change a transaction which also says so in a journal. */
export async function startWriters(url: string, context: TortureContext): Promise<Writers> {
  await sql(url, TABLES);
  const history = () => sql<Change>(url, HISTORY);
  const acknowledged: Change[] = [];
  let isEnding = false;
  const write = () =>
    withClient(url, async (client) => {
      while (!isEnding) {
        const [id, value] = [context.below(ROWS), `value ${context.random()}`];
        const op = context.random() < 0.8 ? 'put' : 'remove';
        const { rows } = await client.query<{ n: number }>(op === 'put' ? PUT : REMOVE, op === 'put' ? [id, value] : [id]);
        if (rows[0]) acknowledged.push({ n: rows[0].n, op, id, value, at: Date.now() });
        await sleep(10 * context.random());
      }
    }).catch((error: unknown) => {
      if (!isEnding && !/terminat|ECONNRESET|connection/i.test(String(error))) throw error; // the server was killed
    });
  const writing = Promise.all(Array.from({ length: WRITERS }, write));
  return {
    goOn: (milliseconds) => sleep(milliseconds),
    stop: async () => {
      isEnding = true;
      await writing;
      const committed = await history().catch(() => undefined);
      return committed ?? acknowledged.sort((one, other) => one.n - other.n);
    },
    history,
  };
}

export const journalUpTo = (history: readonly Change[], at: number): Change[] => history.filter((change) => change.at <= at);

/** @returns what is not as the changes say; undefined: nothing */
export async function sameRows(url: string, changes: readonly Change[]): Promise<string | undefined> {
  const expected = new Map<number, string>();
  for (const { op, id, value } of changes) {
    if (op === 'put') expected.set(id, value);
    else expected.delete(id);
  }
  const journal = (await sql<{ n: number }>(url, 'select n from journal order by n')).map(({ n }) => n);
  const numbers = changes.map(({ n }) => n).sort((one, other) => one - other);
  if (journal.join() !== numbers.join()) return `${journal.length} transactions instead of ${numbers.length}`;
  const rows = await sql<{ id: number; value: string }>(url, 'select id, value from items order by id');
  const all = [...expected].sort(([one], [other]) => one - other).map(([id, value]) => ({ id, value }));
  return JSON.stringify(rows) === JSON.stringify(all) ? undefined : 'rows differ from what was written';
}
