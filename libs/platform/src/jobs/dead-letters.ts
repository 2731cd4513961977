import type { Client } from 'pg';
import type { DatabaseTarget } from '../persistence/connection';
import { openConnection } from '../persistence/open-connection';
import { contextOf, SYSTEM } from '../security/actor';

export interface JobCounts {
  job: string;
  waiting: number;
  dead: number;
  /** Of what must still be done; 0: nothing. */
  oldestSeconds: number;
}

export interface DeadLetter {
  id: string;
  job: string;
  learnerId: string | null;
  subjectId: string;
  attempts: number;
  /** A code, or the name of an error. */
  failure: string;
  createdAt: Date;
  deadAt: Date;
}

const COUNTS = `
  select job, count(*) filter (where dead_at is null)::int as waiting, count(dead_at)::int as dead,
    coalesce(round(extract(epoch from clock_timestamp() - min(created_at) filter (where dead_at is null))::numeric, 1), 0)::float8
      as "oldestSeconds"
  from jobs group by job order by job`;
const DEAD = `
  select id::text as id, job, learner_id as "learnerId", subject_id as "subjectId", attempts, failure, created_at as "createdAt",
    dead_at as "deadAt"
  from jobs where dead_at is not null order by id limit $1`;
/** Null: all of them. */
const THESE = 'where dead_at is not null and ($1::bigint[] is null or id = any($1)) returning id::text as id';
const RETRY = `update jobs set dead_at = null, failure = null, attempts = 0, available_at = now() ${THESE}`;
const DROP = `delete from jobs ${THESE}`;

/** Jobs that were given up. They stay until a person has them tried again, or drops them. */
export class DeadLetters {
  private constructor(private readonly client: Client) {}

  static async open<T>(target: DatabaseTarget, work: (letters: DeadLetters) => Promise<T>): Promise<T> {
    const client = await openConnection(target);
    try {
      await client.query(`begin; ${contextOf(SYSTEM)}`);
      const result = await work(new DeadLetters(client));
      await client.query('commit');
      return result;
    } finally {
      await client.end();
    }
  }

  async counts(): Promise<JobCounts[]> {
    return (await this.client.query<JobCounts>(COUNTS)).rows;
  }

  async list(limit: number): Promise<DeadLetter[]> {
    return (await this.client.query<DeadLetter>(DEAD, [limit])).rows;
  }

  /** @returns the ids of those that are tried again */
  retry(ids?: readonly string[]): Promise<string[]> {
    return this.change(RETRY, ids);
  }

  /** @returns the ids of those that are gone */
  drop(ids?: readonly string[]): Promise<string[]> {
    return this.change(DROP, ids);
  }

  private async change(sql: string, ids: readonly string[] | undefined): Promise<string[]> {
    return (await this.client.query<{ id: string }>(sql, [ids ?? null])).rows.map(({ id }) => id);
  }
}
