import { fastify } from 'fastify';
import { commandOptions, createClient } from 'redis4';
import { COUNT_SCRIPT } from '../../libs/platform/src/rate-limit/redis-rate-limit-store';
import { answer } from './harness/processes';

export interface BareRoute {
  redisUrl: string;
  /** The session's key. */
  session: string;
  /** The key of the learner's rate limit. */
  rate: string;
  /** The keys of a cached view: its generation and its value. */
  view: [generation: string, value: string];
  /** Takes the view out of Redis as a string, which has to be decoded and encoded again, instead of as bytes. */
  asText: boolean;
}

/**
 * The limit of a cached read: a server that does nothing but the same Redis operations in the same order
 * (session, then the count of the rate limit together with generation and view) and sends the view's bytes with an ETag.
 */
answer<BareRoute, number>(async ({ redisUrl, session, rate, view, asText }) => {
  const redis = createClient({ url: redisUrl });
  await redis.connect();
  const count = await redis.scriptLoad(COUNT_SCRIPT);
  const bytes = commandOptions({ returnBuffers: true });
  const app = fastify();
  app.get('/v1/chats/:chatId', async (_request, reply) => {
    if ((await redis.get(session)) === null) return reply.code(401).send();
    const counted = redis.evalSha(count, { keys: [rate], arguments: ['60000'] });
    const [generation, value] = asText ? await redis.mGet(view) : await redis.mGet(bytes, view);
    if (((await counted) as number[][])[0]![0]! > 1e9) return reply.code(429).send();
    if (!generation || !value) return reply.code(404).send();
    const end = value.indexOf('\n');
    const header = JSON.parse(value.slice(0, end).toString()) as { generation: string; etag: string };
    if (header.generation !== generation.toString()) return reply.code(404).send();
    void reply.header('content-type', 'application/json; charset=utf-8').header('etag', `"${header.etag}"`);
    return reply.send(typeof value === 'string' ? value.slice(end + 1) : value.subarray(end + 1));
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  return (app.server.address() as { port: number }).port;
});
