import { fastify } from 'fastify';
import { createClient } from 'redis4';
import { answer } from './harness/processes';

export interface BareRoute {
  redisUrl: string;
  /** The session's key. */
  session: string;
  /** The keys of a cached view: its generation and its value. */
  view: [generation: string, value: string];
}

/**
 * The limit of a cached read: a server that does nothing but the same Redis operations in the same order
 * (session, then generation and view) and sends the view's bytes with an ETag.
 */
answer<BareRoute, number>(async ({ redisUrl, session, view }) => {
  const redis = createClient({ url: redisUrl });
  await redis.connect();
  const app = fastify();
  app.get('/v1/chats/:chatId', async (_request, reply) => {
    if ((await redis.get(session)) === null) return reply.code(401).send();
    const [generation, value] = await redis.mGet(view);
    const end = value?.indexOf('\n') ?? -1;
    const header = JSON.parse(value!.slice(0, end)) as { generation: string; version: number };
    if (header.generation !== generation) return reply.code(404).send();
    void reply.header('content-type', 'application/json; charset=utf-8').header('etag', `"${header.version}"`);
    return reply.send(value!.slice(end + 1));
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  return (app.server.address() as { port: number }).port;
});
