import type { Settings } from '../config/config';
import type { DatabaseTarget } from '../persistence/connection';

/** `critical`: data, or the service, is at stake. `warning`: it will be. `note`: worth knowing, and no finding. */
export type Severity = 'critical' | 'warning' | 'note';

export interface Finding {
  readonly severity: Severity;
  /** One sentence, without anything personal in it. */
  readonly what: string;
  /** What mends it: SQL for psql, or a command for a shell behind `$ `. */
  readonly mend: string;
}

/** What a check may look at. */
export interface Eyes {
  /** PostgreSQL itself, as the doctor reaches it. */
  readonly target: DatabaseTarget;
  readonly settings: Settings;
  /** One statement, read-only, with pg_catalog before all else. `asOwner`: sees the rows of all learners. */
  ask: <Row extends object>(sql: string, options?: { asOwner?: boolean }) => Promise<Row[]>;
  /** So much of what takes long is done. */
  tell: (done: number, of: number) => void;
}

/** One thing that may be wrong: how it is seen, what counts as wrong, and what mends it. */
export interface Check {
  readonly name: string;
  /** Reads all data: on demand. */
  readonly deep?: boolean;
  /** Says something only of a PostgreSQL that is a server of its own. */
  readonly served?: boolean;
  /** What the login must be: able to see the statistics of others (pg_monitor), or to act as studently_owner. */
  readonly needs?: 'monitor' | 'owner';
  examine(eyes: Eyes): Promise<(Finding | undefined)[]>;
}

export interface Judgement<Row extends object> extends Omit<Check, 'examine'> {
  readonly sql: string;
  readonly judge: (row: Row, eyes: Pick<Eyes, 'settings' | 'target'>) => Finding | undefined;
}

/** A check that is one statement, whose answers are judged one by one. */
export function judging<Row extends object>(judgement: Judgement<Row>): Judgement<Row> & Check {
  const { sql, needs, judge } = judgement;
  const examine = async (eyes: Eyes) => {
    const rows = await eyes.ask<Row>(sql, { asOwner: needs === 'owner' });
    return rows.map((row) => judge(row, eyes));
  };
  return { ...judgement, examine };
}

/** Relations of ours: in `public`, and of no extension. */
export const OURS = `c.relnamespace = 'public'::regnamespace
  and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')`;

export const inBytes = (bytes: number): string => {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1);
  return `${Number((bytes / 1024 ** power).toFixed(1)).toLocaleString('en')} ${units[power]}`;
};

/** `,` between thousands. */
export const inWords = (count: number): string => count.toLocaleString('en');

/** As a literal of SQL, for commands that mend. */
export const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;

export const set = (name: string, value: string): string => `alter system set ${name} = ${value}; select pg_reload_conf();`;
