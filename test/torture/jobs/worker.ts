import { setTimeout as sleep } from 'node:timers/promises';
import type { Job } from '@studently/platform';
import { answer } from '../../bench/harness/processes';
import { startBuiltPlatform } from '../../support/built-platform';

export interface Working {
  settings: NodeJS.ProcessEnv;
  /** An effect takes so many ms at most, so that an accident meets it in the middle. */
  longestMs: number;
}

export const EFFECT = 'take-effect';
/** What a subject begins with, if it cannot be done, or if it takes its process with it. */
export const POISON = 'poison';
export const DEADLY = 'deadly';

/** A worker with one job more: it notes that it has happened, without a constraint that would hide a second time. */
answer<Working, true>(async ({ settings, longestMs }) => {
  await startBuiltPlatform(settings, 'worker', (app, { DomainEvent, Jobs, UnitOfWork }) => {
    class Happened extends DomainEvent {
      static override readonly topic = 'test.happened';
      constructor(
        readonly learnerId: string,
        readonly subjectId: string,
      ) {
        super();
      }
    }
    const run = async ({ actor, subjectId }: Job) => {
      await sleep(Math.random() * longestMs);
      if (subjectId.startsWith(DEADLY)) process.kill(process.pid, 'SIGKILL');
      await app.get(UnitOfWork).run(actor, async (tx) => {
        await tx.query('insert into effects (subject_id, process) values ($1, $2)', [subjectId, process.pid]);
        await sleep(Math.random() * 3);
        if (subjectId.startsWith(POISON)) throw new Error('poison');
        tx.record(new Happened(actor.userId, subjectId));
      });
    };
    app.get(Jobs).register(EFFECT, { run });
  });
  return true;
});
