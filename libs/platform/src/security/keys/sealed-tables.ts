import type { Client } from 'pg';
import { asOwner } from './as-owner';
import { SealedDataUnreadable } from './envelope';
import type { LearnerCipher, SealedColumn } from './learner-cipher';
import type { LearnerKeys } from './learner-keys';
import { hashedLexemes, lexemesOf, type Lexemes } from './lexemes';

/** A column of what is sealed; most have a readable one beside it. */
export interface ColumnToSeal {
  table: string;
  column: string;
  /** SQL of what is readable still: null where there has never been such a column. */
  readable: string;
  /** Its words are searched. */
  isSearched: boolean;
}

interface Row {
  userId: string;
  id: string;
  text: string | null;
  sealed: Buffer | null;
  lexemes?: Lexemes;
}

const BATCH = 100;
const COLUMNS = `
  select c.table_name as "table", left(c.column_name, -7) as "column",
    coalesce((select r.column_name from information_schema.columns r where r.table_schema = 'public'
        and r.table_name = c.table_name and r.column_name = left(c.column_name, -7)), 'null::text') as readable,
    c.column_name = 'content_sealed' and exists (
      select from information_schema.columns l
      where l.table_schema = 'public' and l.table_name = c.table_name and l.column_name = 'lexemes_sealed') as "isSearched"
  from information_schema.columns c
  where c.table_schema = 'public' and c.data_type = 'bytea' and c.column_name like '%\\_sealed'
  order by 1, 2`;

/** SQL of the key version of an envelope; 0 where it was cut. */
export const versionOf = (column: string) =>
  `case when length(${column}_sealed) < 3 then 0 else get_byte(${column}_sealed, 1) * 256 + get_byte(${column}_sealed, 2) end`;

/** The catalog knows what is sealed: a column that ends with `_sealed`, mostly with a text column beside it. */
export async function columnsToSeal(client: Client): Promise<ColumnToSeal[]> {
  return (await client.query<ColumnToSeal>(COLUMNS)).rows;
}

/** Seals rows anew, batch by batch; each batch is a transaction of its own, so that an interruption loses nothing. */
export class SealedTables {
  constructor(
    private readonly client: Client,
    private readonly keys: LearnerKeys,
    private readonly tell: (sealed: number) => void,
  ) {}

  /**
   * @param which a condition on the rows. Who works on a row is waited for; what cannot be opened is left as it is.
   * @returns how many were sealed
   */
  async seal(column: ColumnToSeal, which: string, values: readonly unknown[] = []): Promise<number> {
    let sealed = 0;
    for (let after: Row | undefined, more = true; more;) {
      const { batch, done } = await this.batch(column, which, values, after);
      this.tell(done);
      sealed += done;
      after = batch.at(-1);
      more = batch.length === BATCH;
    }
    return sealed;
  }

  private async batch(
    column: ColumnToSeal,
    which: string,
    values: readonly unknown[],
    after: Row | undefined,
  ): Promise<{ batch: Row[]; done: number }> {
    return asOwner(this.client, async () => {
      await this.client.query(`set local app.sealing = 'on'`);
      const batch = await this.take(column, which, values, after);
      const done = batch.length > 0 ? await this.put(column, batch) : 0;
      return { batch, done };
    });
  }

  private async take(
    { table, column, readable, isSearched }: ColumnToSeal,
    which: string,
    values: readonly unknown[],
    after: Row | undefined,
  ): Promise<Row[]> {
    const [user, id] = [`$${values.length + 1}::uuid`, `$${values.length + 2}::uuid`];
    const { rows } = await this.client.query<Row>(
      `select user_id as "userId", id, ${readable} as text, ${column}_sealed as sealed
         ${isSearched ? `, ${lexemesOf(column)} as lexemes` : ''}
       from ${table} where ${which} and (${user} is null or (user_id, id) > (${user}, ${id}))
       order by user_id, id limit ${BATCH} for update`,
      [...values, after?.userId ?? null, after?.id ?? null],
    );
    return rows;
  }

  private async put({ table, column, readable, isSearched }: ColumnToSeal, taken: readonly Row[]): Promise<number> {
    const rows: Row[] = [];
    const sealed: Buffer[] = [];
    const lexemes: (string | null)[] = [];
    for (const row of taken) {
      const cipher = await this.keys.toSeal(row.userId);
      const anew = sealedAnew(cipher, `${table}.${column}`, row);
      if (!anew) continue;
      rows.push(row);
      sealed.push(anew);
      lexemes.push(row.sealed || !row.lexemes ? null : hashedLexemes(cipher, row.lexemes));
    }
    await this.client.query(
      `update ${table} t set ${readable === column ? `${column} = null, ` : ''}${column}_sealed = v.sealed
         ${isSearched ? ', lexemes_sealed = coalesce(v.lexemes::tsvector, t.lexemes_sealed)' : ''}
       from unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::text[]) v (user_id, id, sealed, lexemes)
       where t.user_id = v.user_id and t.id = v.id`,
      [rows.map(({ userId }) => userId), rows.map(({ id }) => id), sealed, lexemes],
    );
    return rows.length;
  }
}

/** @returns undefined for what somebody has changed: it stays, and its old key with it */
function sealedAnew(cipher: LearnerCipher, place: SealedColumn, { id, text, sealed }: Row): Buffer | undefined {
  try {
    return cipher.seal(place, id, sealed ? cipher.open(place, id, sealed) : text!);
  } catch (error) {
    if (error instanceof SealedDataUnreadable) return undefined;
    throw error;
  }
}
