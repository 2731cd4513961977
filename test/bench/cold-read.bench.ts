import { ReadModels } from '@studently/platform';
import { createClient } from 'redis4';
import { chatModel } from '../../libs/ai-interactions/src/queries/chat.read-model';
import { HttpClient, newLearner, type TestLearner } from '../support/http';
import { withClient } from '../support/servers';
import type { BenchContext } from './harness/context';
import { conversation } from './harness/conversation';
import { interleave } from './harness/interleave';
import { startLoad, type LoadRequest } from './harness/load';
import { pgbench, type Script } from './harness/pgbench';
import { DATABASE, startApi, startServers } from '../support/platform';
import { actingFor } from './harness/scripts';
import { inlined, statementOf } from './harness/statements';
import { number } from './harness/table';
import { atMost, type Measured } from './harness/workload';

const MESSAGES = 50;
/** More than are read: a chat is read once in a run. */
const CHATS_A_SECOND = 2500;
/** Chats that the limit reads, again and again: PostgreSQL has them in memory either way. */
const LIMIT_CHATS = 100;
const GOAL_MS = 0.4;

export const name = 'cold-read';
export const goal = `HTTP p50 ≤ pgbench with the same pipelined transaction + ${GOAL_MS} ms, one connection on both sides`;

/** A chat with 50 messages, read with a session while nothing of it is cached: each request asks for another chat. */
export async function run(context: BenchContext): Promise<Measured> {
  const { postgres, redis, settings } = await startServers(context);
  const api = await startApi(context, settings);
  const learner = await newLearner(new HttpClient(api.url));
  context.progress('  writing chats');
  const chats = await writeChats(postgres.url(DATABASE), learner.id, context.seconds * CHATS_A_SECOND);
  await assertWhole(learner, chats[0]!);

  const headers = { authorization: `Bearer ${learner.token}` };
  const requests: LoadRequest[] = chats.map((id) => ({ method: 'GET', path: `/v1/chats/${id}`, headers }));
  const scripts = await Promise.all(chats.slice(0, LIMIT_CHATS).map((chatId) => scriptOf(learner.id, chatId)));
  const limit = (protocol: 'prepared' | 'extended') => (seconds: number) =>
    pgbench(context, { url: postgres.appUrl(DATABASE), clients: 1, seconds, scripts, protocol });
  const put = await startLoad(context);
  const measured = await interleave(context, {
    platform: async (seconds) => {
      await forgetViews(redis.url);
      const hits = await hitsOf(api.url);
      const figures = await put(api.pid, { url: api.url, connections: 1, seconds, requests });
      if ((await hitsOf(api.url)) !== hits) throw new Error('Some views were cached: there are too few chats');
      return figures;
    },
    limit: limit('prepared'),
    planned: limit('extended'),
  });
  const { platform, limit: prepared, planned } = measured;
  return {
    checks: [atMost('p50', platform.p50, 'ms', Number((prepared.p50 + GOAL_MS).toFixed(2)), prepared.p50)],
    cpuMicros: platform.cpuMicros,
    details: {
      p50: platform.p50,
      p95: platform.p95,
      p99: platform.p99,
      limitP50: prepared.p50,
      limitP95: prepared.p95,
      limitP99: prepared.p99,
      plannedP50: planned.p50,
      perSecond: platform.perSecond,
      serverCpu: platform.serverCpu,
      clientCpu: platform.clientCpu,
    },
    notes: [
      `Over the limit by ${number(platform.p50 - prepared.p50)} ms`,
      `\`pgbench\` takes ${number(planned.p50)} ms where PostgreSQL plans the statement each time, as it does for a driver that names ` +
        'no statements',
      `the API process takes ${number(platform.cpuMicros)} µs CPU a request and keeps ${number(platform.serverCpu)} of a core busy`,
    ],
  };
}

/** Chats as the API would have made them. @returns their ids */
async function writeChats(url: string, userId: string, count: number): Promise<string[]> {
  return withClient(url, async (client) => {
    const { rows } = await client.query<{ id: string }>(
      `insert into chats (user_id, title, message_count) select $1, 'Chat ' || nr, $3 from generate_series(1, $2) nr returning id`,
      [userId, count, MESSAGES],
    );
    await client.query(
      `insert into chat_messages (user_id, chat_id, seq, parent_seq, role, content)
       select $1, chats.id, turn.nr, nullif(turn.nr - 1, 0), turn.role, turn.content
       from chats cross join rows from (json_to_recordset($2) as (role text, content text)) with ordinality turn (role, content, nr)
       where chats.user_id = $1`,
      [userId, JSON.stringify(conversation(MESSAGES))],
    );
    await client.query('vacuum analyze chats, chat_messages');
    return rows.map(({ id }) => id);
  });
}

async function assertWhole({ http }: TestLearner, chatId: string): Promise<void> {
  const { body } = await http.get(`/v1/chats/${chatId}`);
  if (body.messages.length !== MESSAGES) throw new Error('The view has not all messages');
}

/** The API's own transaction, sent at once. */
async function scriptOf(userId: string, chatId: string): Promise<Script> {
  const somebody = { userId: chatId, role: 'STUDENT' } as const; // whose reads are never answered by the cache
  const nothing = undefined as never;
  const statement = await statementOf((database) =>
    new ReadModels(nothing, database, nothing, nothing, nothing).get(
      chatModel,
      somebody,
      { chatId, after: 0, limit: MESSAGES },
      { ownerId: userId },
    ),
  );
  const text = `\\startpipeline\nbegin read only;\n${actingFor(userId)}\n${inlined(statement)};\ncommit;\n\\endpipeline\n`;
  return { name: chatId, text };
}

/** Forgets generations and views; the session stays. */
async function forgetViews(redisUrl: string): Promise<void> {
  const client = createClient({ url: redisUrl });
  await client.connect();
  const keys = await client.keys('cache:*');
  if (keys.length > 0) await client.del(keys);
  await client.disconnect();
}

/** How many views the API has found in the cache. */
async function hitsOf(url: string): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`)).text();
  return Number(/^studently_cache_requests_total\{[^}]*outcome="hit"[^}]*\} (\d+)/m.exec(metrics)?.[1] ?? 0);
}
