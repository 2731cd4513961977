import { SYSTEM, type Actor, type Database, type Transaction, type UnitOfWork } from '@studently/platform';
import type { Client } from 'pg';
import { PUBLISHED } from '../../integration/catalog';
import { insertRow, validRow } from '../../integration/rows';
import { withClient } from '../../support/servers';
import type { TortureContext } from '../harness/torture';

/** What one row says of whom it belongs to and of whom the database took the asker for. */
interface Seen {
  nonce: string;
  owner: string | null;
  setting: string;
  role: string;
}

/** What a request may end with where a neighbour kills connections and cancels statements. */
const UNAVAILABLE = 'unavailable';
const NOT_ALLOWED = '42501';
const NOBODY: Actor = { role: 'STUDENT' };
/** Every statement without a WHERE: what is seen is what the policies show. */
const look = (table: string) =>
  `select $1 as nonce, ${table === 'users' ? 'id' : 'user_id'} as owner, current_setting('app.user_id') as setting,
          current_setting('role') as role from ${table}`;
const STATE = `select current_setting('role') as role, coalesce(current_setting('app.user_id', true), '') as "userId",
                      coalesce(current_setting('app.role', true), '') as "actorRole"`;

async function fails(request: Promise<unknown>): Promise<void> {
  const succeeded = await request.then(
    () => true,
    () => false,
  );
  if (succeeded) throw new Error('A statement that must fail has not failed.');
}

/** Requests of many learners over one small pool, with whatever may go wrong with a connection in between. */
export class PooledRequests {
  readonly counts = { rows: 0, failed: 0, killed: 0, cancelled: 0, timeouts: 0, meddled: 0 };
  private number = 0;

  constructor(
    private readonly context: TortureContext,
    private readonly database: Database,
    private readonly unitOfWork: UnitOfWork,
    private readonly learners: readonly string[],
    private readonly tables: readonly string[],
    private readonly adminUrl: string,
  ) {}

  /** Runs all of the context's requests, so many at a time. */
  async run(atATime: number): Promise<void> {
    const one = async () => {
      while (this.number < this.context.ops) await this.request(this.number++);
    };
    await Promise.all(Array.from({ length: atATime }, one));
  }

  /** A connection that nobody uses acts for nobody. Each is held meanwhile, also behind a pooler. */
  async lookAtAllConnections(count: number): Promise<void> {
    const pool = await this.database.pool();
    const clients = await Promise.all(Array.from({ length: count }, () => pool.connect()));
    const pids = new Set<number>();
    for (const client of clients) {
      await client.query('begin');
      pids.add((await client.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]!.pid);
      await this.lookAtConnection(client);
    }
    for (const client of clients) await client.query('rollback').finally(() => client.release());
    this.context.attempt(pids.size === count, () => `${pids.size} connections instead of ${count}`);
  }

  private async request(number: number): Promise<void> {
    const userId = this.context.pick(this.learners);
    const actor: Actor = { userId, role: 'STUDENT' };
    const nonce = `${number}`;
    const table = this.context.pick(this.tables);
    const chance = this.context.below(1000);
    const tell = (what: string) => () => `request ${number} of ${userId}: ${what}`;
    try {
      if (chance < 2) await this.disturb('pg_terminate_backend', 'killed');
      else if (chance < 6) await this.disturb('pg_cancel_backend', 'cancelled');
      else if (chance < 60) return this.judge(tell, actor, table, await this.aborted(actor, nonce, table), nonce);
      else if (chance < 80) await this.timedOut(actor);
      else if (chance < 130) await fails(this.database.read(actor, this.context.pick(['select 1 / 0', 'no SQL at all'])));
      else if (chance < 180) return await this.nobody(tell, table);
      else if (chance < 210) return await this.probe();
      else if (chance < 300) return this.judge(tell, actor, 'chats', await this.changed(actor, nonce), nonce);
      else if (chance < 340) return await this.meddled(tell, userId);
      else return this.judge(tell, actor, table, await this.database.read<Seen>(actor, look(table), [nonce]), nonce);
      this.context.attempt(true, tell(''));
    } catch (error) {
      this.counts.failed += 1;
      const { kind, message } = error as { kind?: string; message: string };
      this.context.attempt(kind === UNAVAILABLE, tell(message));
    }
  }

  /** Each row is the asker's, unless it is published, was read as the asker, and answers this very question. */
  private judge(tell: (what: string) => () => string, actor: Actor, table: string, rows: readonly Seen[], nonce: string): void {
    this.counts.rows += rows.length;
    const isPublished = PUBLISHED.includes(table);
    const wrong = rows.find(
      (row) =>
        (!isPublished && row.owner !== actor.userId) ||
        row.setting !== actor.userId ||
        row.role !== 'studently_app' ||
        row.nonce !== nonce,
    );
    const isEnough = isPublished ? rows.length === this.learners.length : rows.length > 0;
    this.context.attempt(
      isEnough && !wrong,
      tell(wrong ? `was shown ${JSON.stringify(wrong)}` : `was shown ${rows.length} rows of ${table}`),
    );
  }

  private async nobody(tell: (what: string) => () => string, table: string): Promise<void> {
    const asNobody = await this.database.read<Seen>(NOBODY, look(table), ['']);
    const asSystem = await this.database.read(SYSTEM, 'select user_id from sessions');
    this.context.attempt(
      asNobody.length === (PUBLISHED.includes(table) ? this.learners.length : 0) && asSystem.length === 0,
      tell(`nobody was shown ${asNobody.length} rows of ${table}, the worker ${asSystem.length} sessions`),
    );
  }

  private async probe(): Promise<void> {
    const client = await (await this.database.pool()).connect();
    try {
      await this.lookAtConnection(client);
      client.release();
    } catch (error) {
      client.release(error as Error); // killed meanwhile
      const state = (error as { code?: string }).code ?? (error as Error).message;
      this.context.attempt(/^57|^08|terminated|not queryable/.test(state), () => `an idle connection answers ${state}`);
    }
  }

  private async lookAtConnection(client: { query: Client['query'] }): Promise<void> {
    const { rows } = await client.query<{ role: string; userId: string; actorRole: string }>(STATE);
    const { role, userId, actorRole } = rows[0]!;
    const held = role === 'none' && userId === '' && actorRole === '';
    this.context.attempt(held, () => `an idle connection acts for ${JSON.stringify(rows[0])}`);
  }

  private async changed(actor: Actor, nonce: string): Promise<Seen[]> {
    let seen: Seen[] = [];
    await this.unitOfWork.run(actor, async (tx) => {
      seen = await tx.query<Seen>(look('chats'), [nonce]);
      await tx.query('update chats set title = $1', [actor.userId]);
      tx.record({ topic: 'chat.changed', learnerId: actor.userId!, subjectId: actor.userId! });
    });
    return seen;
  }

  private async aborted(actor: Actor, nonce: string, table: string): Promise<Seen[]> {
    return this.undone(actor, async (tx) => {
      const seen = await tx.query<Seen>(look(table), [nonce]);
      await tx.query('update chats set title = $1', ['of an aborted command']);
      return seen;
    });
  }

  /** What everybody reads nobody changes; it is withdrawn by its owner alone, who has to be a TEACHER, and published in no other name. */
  private async meddled(tell: (what: string) => () => string, userId: string): Promise<void> {
    const teacher: Actor = { userId, role: 'TEACHER' };
    const actor = this.context.pick<Actor>([teacher, { userId, role: 'STUDENT' }, { role: 'TEACHER' }]);
    const table = this.context.pick(PUBLISHED);
    const other = this.context.pick(this.learners.filter((id) => id !== userId));
    const { what, due, work } = this.context.pick<{ what: string; due: string; work: (tx: Transaction) => Promise<unknown> }>([
      {
        what: 'delete',
        due: JSON.stringify(actor === teacher ? [{ owner: userId }] : []),
        work: (tx) => tx.query(`delete from ${table} returning user_id as owner`),
      },
      { what: 'update', due: NOT_ALLOWED, work: (tx) => tx.query(`update ${table} set id = id`) },
      { what: "insert as somebody else's", due: NOT_ALLOWED, work: (tx) => insertRow(tx, table, validRow(table, other)) },
    ]);
    const ended = await this.undone(actor, work).then(
      (done) => JSON.stringify(done) ?? 'done',
      (error: { code?: string }) => {
        if (error.code !== NOT_ALLOWED) throw error;
        return NOT_ALLOWED;
      },
    );
    this.counts.meddled += 1;
    this.context.attempt(
      ended === due,
      tell(`${what} in ${table} by ${JSON.stringify(actor)} ended with ${ended}, not ${due}`),
    );
  }

  /** What `work` answers in a transaction that comes to nothing. */
  private async undone<T>(actor: Actor, work: (tx: Transaction) => Promise<T>): Promise<T> {
    let done: T;
    const abort = new Error('aborted');
    await this.unitOfWork
      .run(actor, async (tx) => {
        done = await work(tx);
        throw abort;
      })
      .catch((error: unknown) => {
        if (error !== abort) throw error;
      });
    return done!;
  }

  private async timedOut(actor: Actor): Promise<void> {
    this.counts.timeouts += 1;
    await fails(
      this.unitOfWork.run(actor, async (tx) => {
        await tx.query('set local statement_timeout = 5');
        await tx.query('select pg_sleep(5)');
      }),
    );
  }

  /** What an administrator or an accident does to one of the connections. */
  private async disturb(how: 'pg_terminate_backend' | 'pg_cancel_backend', count: 'killed' | 'cancelled'): Promise<void> {
    const { rowCount } = await withClient(this.adminUrl, (client) =>
      client.query(`select ${how}(pid) from pg_stat_activity where usename = 'studently_login' order by random() limit 1`),
    );
    this.counts[count] += rowCount ?? 0;
  }
}
