import { fastify } from 'fastify';
import { Pool } from 'pg';
import { contextOf } from '../../libs/platform/src/security/actor';
import { answer } from './harness/processes';

export interface BareDue {
  databaseUrl: string;
  userId: string;
  /** With $1 to $4: the learner, now, the end of the learner's day, how many. */
  sql: string;
  dayEndsAt: string;
  limit: number;
  connections: number;
}

/**
 * The limit of the due queue: a server that does nothing but run the same statement in the same transaction, in one round
 * trip, and send what it says. It knows who asks, and when that learner's day ends.
 */
answer<BareDue, number>(async ({ databaseUrl, userId, sql, dayEndsAt, limit, connections }) => {
  const options = { connectionString: databaseUrl, max: connections, pipeline: true }; // the last one has no type yet
  const pool = new Pool(options);
  const begin = `begin read only; ${contextOf({ userId, role: 'STUDENT' })}`;
  const app = fastify();
  app.get('/v1/study/due', async (_request, reply) => {
    const client = await pool.connect();
    try {
      // Named, so that PostgreSQL plans it once for each connection.
      const statement = { name: 'due', text: sql, values: [userId, new Date(), dayEndsAt, limit] };
      const answers = [client.query(begin), client.query<{ items: string }>(statement), client.query('commit')] as const;
      const [, { rows }, { command }] = await Promise.all(answers);
      if (command !== 'COMMIT') throw new Error('not committed');
      void reply.header('content-type', 'application/json; charset=utf-8');
      return await reply.send(`{"items":${rows[0]!.items},"dayEndsAt":"${dayEndsAt}"}`);
    } finally {
      client.release();
    }
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  return (app.server.address() as { port: number }).port;
});
