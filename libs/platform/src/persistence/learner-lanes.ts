import { DatabaseUnavailable } from '../errors/domain-error';
import { Lane } from '../lane';
import type { Actor } from '../security/actor';

/** Of one learner, in one process; the pool has at least twice as many connections, unless it was made small. */
const AT_ONCE = 4;
/** As for a connection. */
const LONGEST_WAIT_MS = 2000;

/**
 * The commands of one learner, some at a time. Those that change one row wait for each other in PostgreSQL, each with a connection: a
 * learner who sends many of them would have all of the pool, and nobody else could write or read.
 */
export class LearnerLanes {
  private readonly lanes = new Map<string, Lane>();

  /** A job has a lane of its own: its worker. @throws DatabaseUnavailable when those before it take too long */
  async run<T>({ userId, job }: Actor, work: () => Promise<T>): Promise<T> {
    if (userId === undefined || job) return work();
    const lane = this.lanes.get(userId) ?? new Lane(AT_ONCE, Infinity, 0);
    this.lanes.set(userId, lane);
    const ending = lane.isFree ? undefined : AbortSignal.timeout(LONGEST_WAIT_MS); // one for each command would cost 0.7 ms
    try {
      return await lane.run(work, ending);
    } catch (error) {
      throw ending?.aborted && error === ending.reason ? new DatabaseUnavailable('DATABASE_OVERLOADED', error) : error;
    } finally {
      if (lane.isIdle) this.lanes.delete(userId);
    }
  }
}
