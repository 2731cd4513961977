import { Inject, Injectable, type BeforeApplicationShutdown } from '@nestjs/common';
import { MikroORM } from '@mikro-orm/postgresql';
import type { Pool, QueryResultRow } from 'pg';
import { translateDatabaseError } from '../errors/database-errors';
import { contextOf, SYSTEM, type Actor } from '../security/actor';
import { DATABASE_TARGET, type DatabaseTarget } from './connection';
import { Pipelined } from './pipelined';
import { ReadPoints, READ_POINT, type ReadPoint } from './read-points';
import { Replicas } from './replicas';

/** The read side's way to PostgreSQL: plain SQL in a read-only transaction that acts for somebody. */
@Injectable()
export class Database implements BeforeApplicationShutdown {
  private readonly primary: Pipelined;
  private readonly readPoints = new ReadPoints(async () => (await this.read<ReadPoint & object>(SYSTEM, READ_POINT))[0]!);

  constructor(
    private readonly orm: MikroORM,
    @Inject(DATABASE_TARGET) target: DatabaseTarget,
    private readonly replicas: Replicas,
  ) {
    this.primary = new Pipelined(() => this.pool(), !target.embedded);
  }

  /** Kysely ends only a pool that it has used itself: a process that has only read would wait until its connections are idle for long. */
  async beforeApplicationShutdown(): Promise<void> {
    await this.orm.em
      .getConnection()
      .execute('select 1')
      .catch(() => undefined);
  }

  /** The pool that commands and queries share. */
  async pool(): Promise<Pool> {
    return this.orm.em.getConnection().getNativeClient();
  }

  /**
   * Runs one statement as `actor` sees the database, on the primary.
   * @param setting more `set local` of the transaction
   * @throws DatabaseUnavailable when the database is down or overloaded
   */
  async read<Row extends QueryResultRow>(
    actor: Actor,
    sql: string,
    values: readonly unknown[] = [],
    setting?: string,
  ): Promise<Row[]> {
    return this.run(openingOf('begin read only', actor, setting), sql, values);
  }

  /**
   * The same for what a query answers: by a replica that has replayed all that was committed when it was asked for, so that nobody can tell
   * from the answer where it comes from; else by the primary.
   */
  async query<Row extends QueryResultRow>(
    actor: Actor,
    sql: string,
    values: readonly unknown[] = [],
    setting?: string,
  ): Promise<Row[]> {
    const replica = this.replicas.next();
    if (replica) {
      const point = await this.readPoints.now();
      const rows = await replica.read<Row>(point, openingOf('begin read only', actor, setting), sql, values);
      if (rows) return rows;
    }
    return this.read(actor, sql, values, setting);
  }

  /** As `read` for a single statement that also writes, where no entity and no audit event is concerned (the relay). */
  async write<Row extends QueryResultRow>(
    actor: Actor,
    sql: string,
    values: readonly unknown[] = [],
    setting?: string,
  ): Promise<Row[]> {
    return this.run(openingOf('begin', actor, setting), sql, values);
  }

  private async run<Row extends QueryResultRow>(opening: string, sql: string, values: readonly unknown[]): Promise<Row[]> {
    try {
      return (await this.primary.run<Row>({ text: opening }, sql, values))!;
    } catch (error) {
      throw translateDatabaseError(error);
    }
  }
}

const openingOf = (begin: string, actor: Actor, setting: string | undefined): string =>
  [begin, contextOf(actor), ...(setting === undefined ? [] : [setting])].join('; ');
