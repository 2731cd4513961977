import { View, Written, type ReadLog } from '@studently/platform';
import type { FastifyInstance } from 'fastify';
import type { ApiRequest } from './request';

/**
 * Records what is read of learners by anybody else, before it is answered: an answer that could not be recorded is not given, and
 * what was not found is not recorded. What is written is recorded by its command, in its transaction; where it only found what was there
 * already, it has shown that.
 */
export function addReadRecords(fastify: FastifyInstance, log: ReadLog): void {
  fastify.addHook('preSerialization', (request: ApiRequest, _reply, payload, done) => {
    const { actor, reads } = request;
    if (!actor || !reads || !(payload instanceof View) || isRecorded(payload)) return done(null, payload);
    const learners = reads.learnerId === undefined ? shownIn(payload, actor.userId) : [reads.learnerId];
    const record = async () => {
      const rate = await request.rate; // one read too many is not answered
      if (rate?.isAllowed !== false) await log.record({ ...actor, requestId: request.id }, reads.operation, learners);
    };
    record().then(() => done(null, payload), done);
  });
}

const isRecorded = (view: View<unknown>): boolean => view instanceof Written && !view.existed;

/** Who is in a list of users, but for the one who reads it. */
function shownIn(list: View<unknown>, reader: string): string[] {
  const { items } = (list as View<{ items: { id: string }[] }>).value;
  return items.map(({ id }) => id).filter((id) => id !== reader);
}
