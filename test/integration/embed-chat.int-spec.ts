import { createHash, randomUUID } from 'node:crypto';
import { AppendMessage, DeleteChat, SetContextVector, StartChat, type NewMessage } from '@studently/ai-interactions';
import { LearnerKeys, type Learner } from '@studently/platform';
import { EmbeddingsUnavailable } from '../../libs/ai-interactions/src/domain/document.errors';
import { EMBED_CHAT } from '../../libs/ai-interactions/src/embeddings/embed-chat';
import type { Embeddings } from '../../libs/ai-interactions/src/embeddings/embeddings';
import { LOCAL_MODEL } from '../../libs/ai-interactions/src/embeddings/local-embeddings';
import { until } from '../e2e/support';
import { TestContexts } from '../support/contexts';
import { sql } from '../support/database';

const SENTENCE = 'Grass is green because of the chlorophyll in its leaves, which takes the red out of the light.';
const FAILS = new EmbeddingsUnavailable('EMBEDDING_FAILED');

interface Chat {
  messages: number;
  embedded: number;
  version: number;
  updated: boolean;
  model: string | null;
  /** Whether it is as long as 1, and the mean of the turns. */
  isMean: boolean | null;
}

function vectorOf(text: string): number[] | undefined {
  const words = text.match(/[a-z0-9]+/gi);
  if (!words) return undefined;
  const vector = Array<number>(1536).fill(0);
  for (const word of words) vector[createHash('sha256').update(word).digest().readUInt16BE() % 1536]! += 1;
  const length = Math.hypot(...vector);
  return vector.map((element) => element / length);
}

describe('Embedding chats in the background', () => {
  let contexts: TestContexts;
  let embeddings: Embeddings;
  let ada: Learner;
  beforeAll(async () => {
    contexts = await TestContexts.start();
    embeddings = contexts.localModel();
  });
  afterAll(() => contexts?.stop());
  beforeEach(async () => {
    ada = await contexts.newLearner();
    pretend();
  });
  afterEach(() => jest.restoreAllMocks());

  const rows = <Row extends object>(text: string, values: unknown[] = []) => sql<Row>(contexts.database.adminUrl, text, values);
  const message = (content: string): NewMessage => ({ id: randomUUID(), role: 'user', content });
  const start = async (...contents: string[]): Promise<string> => {
    const id = randomUUID();
    await contexts.commands.execute(new StartChat(ada, { id, title: 'A chat', messages: contents.map(message) }));
    return id;
  };
  const append = (id: string, content: string) => contexts.commands.execute(new AppendMessage(ada, id, message(content)));
  const chat = async (id: string): Promise<Chat> =>
    (
      await rows<Chat>(
        `select message_count as messages, embedded_count as embedded, version, updated_at > created_at as updated, context_model as model,
           (select 1 - (context_vector <=> avg(embedding)) > 1 - 1e-6 from turn_vectors where chat_id = c.id)
             and abs(vector_norm(context_vector) - 1) < 1e-5 as "isMean"
         from chats c where id = $1`,
        [id],
      )
    )[0]!;
  const embedded = (id: string) =>
    until(async () => {
      const now = await chat(id);
      return now.embedded === now.messages && now;
    }, 60_000);
  const turns = (id: string) =>
    rows<{ id: string; seq: number; lexemes: string; length: number | null; model: string | null }>(
      `select t.id, seq, lexemes_sealed::text as lexemes, vector_norm(embedding) as length, s.model
       from chat_turns t left join turn_vectors v on v.turn_id = t.id left join vector_spaces s using (space)
       where t.chat_id = $1 order by seq`,
      [id],
    );
  const jobs = async (id: string) =>
    (await rows<{ count: number }>('select count(*)::int from jobs where subject_id = $1', [id]))[0]!.count;
  /** A model for which each word is a direction. @param what is done before it answers @returns the texts that it was asked for */
  function pretend(what: (texts: readonly string[]) => Promise<void> | void = () => {}): string[] {
    const asked: string[] = [];
    jest.spyOn(embeddings, 'embedPassages').mockImplementation(async (texts) => {
      asked.push(...texts);
      await what(texts);
      return texts.map(vectorOf);
    });
    return asked;
  }
  const hurry = (id: string) => rows('update jobs set available_at = clock_timestamp() where subject_id = $1', [id]);

  it('AI-4 each message gets a turn, the chat their mean; nobody sees that the chat has changed', async () => {
    const id = await start('Why is grass green?', SENTENCE);
    expect(await embedded(id)).toEqual({
      messages: 2,
      embedded: 2,
      version: 1,
      updated: false,
      model: LOCAL_MODEL,
      isMean: true,
    });
    await append(id, 'What is the moon made of?');
    expect(await embedded(id)).toMatchObject({ messages: 3, version: 2, updated: true, isMean: true });

    const messages = await rows<{ id: string }>('select id, seq from chat_messages where chat_id = $1 order by seq', [id]);
    const made = await turns(id);
    expect(made).toMatchObject(messages);
    for (const { length, model } of made) expect([length, model]).toEqual([expect.closeTo(1, 5), LOCAL_MODEL]);
    const cipher = await contexts.app.get(LearnerKeys).toOpen(ada.userId);
    expect(made[0]!.lexemes).toContain(cipher.lexeme('grass')); // hashed
    expect(made[0]!.lexemes).not.toContain('grass');
    await until(async () => (await jobs(id)) === 0);
    const audited = await rows<{ action: string }>('select action from audit_events where subject_id = $1 order by id', [id]);
    expect(audited.map(({ action }) => action)).toEqual(['chat.started', 'chat.message-appended']);
  });

  it('a long message is one turn, the mean of its passages', async () => {
    const asked = pretend();
    const id = await start(Array<string>(20).fill(SENTENCE).join(' '));
    await embedded(id);
    expect(asked.length).toBeGreaterThan(3);
    expect(await turns(id)).toMatchObject([{ length: expect.closeTo(1, 5) }]);
  });

  it('many appends while it is at work leave one job, and nothing is embedded twice', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const asked = pretend(() => promise);
    const id = await start('message 0');
    await until(async () => asked.length > 0);
    for (let nr = 1; nr <= 40; nr++) await append(id, `message ${nr}`);
    expect(await jobs(id)).toBe(1);
    resolve();
    expect(await embedded(id)).toMatchObject({ messages: 41, embedded: 41, version: 41, isMean: true });
    expect(asked.toSorted()).toEqual(Array.from({ length: 41 }, (_, nr) => `message ${nr}`).toSorted());
    await until(async () => (await jobs(id)) === 0);
  });

  it('several jobs for the same chat do no harm', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const asked = pretend(() => promise);
    const id = await start(...Array.from({ length: 30 }, (_, nr) => `message ${nr}`));
    await rows(`insert into jobs (job, learner_id, subject_id) select '${EMBED_CHAT}', $1, $2 from generate_series(1, 3)`, [
      ada.userId,
      id,
    ]);
    await until(async () => asked.length >= 8);
    resolve();
    expect(await embedded(id)).toMatchObject({ embedded: 30, isMean: true });
    await until(async () => (await jobs(id)) === 0, 30_000);
    expect(await turns(id)).toHaveLength(30);
    expect(await chat(id)).toMatchObject({ embedded: 30, version: 1, isMean: true });
  });

  it('AI-4 what a client says that the chat is about stays', async () => {
    const id = await start();
    const vector = Array.from({ length: 1536 }, (_, nr) => (nr === 7 ? 1 : 0));
    await contexts.commands.execute(new SetContextVector(ada, id, { vector, model: 'mine' }));
    await append(id, SENTENCE);
    expect(await embedded(id)).toMatchObject({ model: 'mine', isMean: false });
    expect(await rows('select context_vector::text as it from chats where id = $1', [id])).toEqual([
      { it: JSON.stringify(vector) },
    ]);
  });

  it('what the model does not know is found by its words, and says nothing about the chat', async () => {
    const id = await start('字', '');
    expect(await embedded(id)).toMatchObject({ embedded: 2, model: null });
    expect(await turns(id)).toMatchObject([
      { length: null, model: null },
      { length: null, lexemes: '' },
    ]);
    await append(id, SENTENCE);
    expect(await embedded(id)).toMatchObject({ model: LOCAL_MODEL, isMean: true });
  });

  it('a message on which the model fails each time is found by its words, and those after it by their meaning', async () => {
    pretend((texts) => {
      if (texts.some((text) => text.includes('poison'))) throw FAILS;
    });
    const id = await start('The poison.');
    await until(async () => {
      await hurry(id);
      return (await chat(id)).embedded === 1;
    }, 60_000);
    await append(id, SENTENCE);
    await embedded(id);
    expect(await turns(id)).toMatchObject([
      { lexemes: expect.stringMatching(/'/), length: null },
      { length: expect.closeTo(1, 5) },
    ]);
    await until(async () => {
      await hurry(id);
      return (await jobs(id)) === 0;
    }, 60_000);
  });

  it('a message on which the model has failed once is found by its words at once, and by its meaning soon', async () => {
    let failures = 0;
    pretend((texts) => {
      if (texts.includes('Twice.') && failures++ < 2) throw FAILS; // with the other, and alone
    });
    const id = await start('Twice.', SENTENCE);
    await embedded(id);
    expect((await turns(id)).map(({ length }) => length !== null)).toContain(true);
    await until(async () => {
      await hurry(id);
      return (await turns(id)).every(({ length }) => length !== null);
    }, 60_000);
    await until(async () => (await jobs(id)) === 0);
  });

  it('a message that cannot be opened is left out in the end, and holds up none', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const asked = pretend(() => promise);
    const id = await start('before');
    await until(async () => asked.length > 0); // else both may be read before the second one is spoilt
    await append(id, 'spoilt');
    await rows(`update chat_messages set content_sealed = '\\x00ff' where chat_id = $1 and seq = 2`, [id]);
    resolve();
    await until(async () => {
      await hurry(id);
      return (await chat(id)).embedded === 2;
    }, 60_000);
    expect(await turns(id)).toMatchObject([{ seq: 1 }, { seq: 2, lexemes: '', length: null }]);
  });

  it('a chat that is deleted meanwhile leaves nothing behind', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const asked = pretend(() => promise);
    const id = await start(SENTENCE);
    await until(async () => asked.length > 0);
    await contexts.commands.execute(new DeleteChat(ada, id));
    resolve();
    await until(async () => (await jobs(id)) === 0);
    expect(await turns(id)).toEqual([]);
  });

  it('a job that was lost is made up for after fifty messages', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    pretend(() => promise);
    const id = await start('lost');
    await rows('delete from jobs where subject_id = $1', [id]);
    for (let nr = 1; nr < 50; nr++) await append(id, `message ${nr}`);
    expect(await jobs(id)).toBe(0);
    await append(id, 'the fifty-first');
    expect(await jobs(id)).toBe(1);
    resolve();
    expect(await embedded(id)).toMatchObject({ embedded: 51, isMean: true });
  });

  it('SEC-2 the worker sees ids alone', async () => {
    for (const table of ['chats', 'chat_messages', 'chat_turns', 'turn_vectors']) {
      await expect(
        sql(contexts.database.url, `select * from ${table}`, [], { role: 'studently_worker', userId: ada.userId }),
      ).rejects.toMatchObject({ code: '42501' });
    }
  });
});
