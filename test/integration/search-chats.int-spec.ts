import { randomUUID } from 'node:crypto';
import {
  AppendMessage,
  ChangeChat,
  SearchChats,
  SetContextVector,
  StartChat,
  type ChatSearch,
  type ChatSearchResult,
} from '@studently/ai-interactions';
import type { Learner } from '@studently/platform';
import { EmbeddingsUnavailable } from '../../libs/ai-interactions/src/domain/document.errors';
import { until } from '../e2e/support';
import { TestContexts } from '../support/contexts';
import { sql } from '../support/database';

const TOPICS = 'grass moon river planet engine theory colour music history'.split(' ');
/** Each topic is a direction of its own; "nowhere" is none that a text has. */
const vectorOf = (text: string): number[] => {
  const vector = Array<number>(1536).fill(0);
  TOPICS.forEach((topic, nr) => (vector[nr] = text.split(topic).length - 1));
  vector[TOPICS.length] = 0.1;
  return vector;
};
const about = (topic: string) => vectorOf(topic);

describe('Searching chats', () => {
  let contexts: TestContexts;
  let ada: Learner;
  beforeAll(async () => {
    contexts = await TestContexts.start();
    const embeddings = contexts.localModel();
    jest.spyOn(embeddings, 'embedPassages').mockImplementation(async (texts) => texts.map(vectorOf));
    jest.spyOn(embeddings, 'embedQuestion').mockImplementation(async (text) => vectorOf(text));
  });
  afterAll(() => contexts?.stop());
  beforeEach(async () => {
    ada = await contexts.newLearner();
  });

  async function chat(title: string, contents: string[], owner = ada): Promise<string> {
    const id = randomUUID();
    const messages = contents.map((content) => ({ id: randomUUID(), role: 'user' as const, content }));
    await contexts.commands.execute(new StartChat(owner, { id, title, messages }));
    return id;
  }
  const allEmbedded = () =>
    until(async () => {
      const waiting = await sql(contexts.database.adminUrl, 'select from chats where embedded_count < message_count');
      return waiting.length === 0;
    }, 30_000);
  const search = async (wanted: Partial<ChatSearch>): Promise<ChatSearchResult> =>
    (await contexts.queries.execute(new SearchChats(ada, { k: 10, archived: false, ...wanted }))).value;
  const ids = ({ items }: ChatSearchResult) => items.map((item) => item.chat.id);

  it('AI-4 finds exactly min(k, matches) chats, each once with its best message, nearest first', async () => {
    const chats = new Map<string, string>();
    for (const topic of TOPICS)
      chats.set(topic, await chat('A chat', [`the ${topic}`, `${topic}, ${topic} and the moon`, `about the ${topic}`]));
    await chat('A chat', ['the moon'], await contexts.newLearner());
    await allEmbedded();
    for (const k of [1, 5, 100]) {
      for (const wanted of [{ vector: about('river') }, { text: 'river' }]) {
        const found = await search({ ...wanted, k });
        expect(found.items).toHaveLength(Math.min(k, TOPICS.length));
        expect(new Set(ids(found)).size).toBe(found.items.length);
        expect(found.items[0]!.chat.id).toBe(chats.get('river'));
        expect(found.items[0]!.message!.text).toMatch(/^(the|about the) river$/);
        expect(found.meta).toMatchObject({
          strategy: 'text' in wanted ? 'exact+text' : 'exact',
          estimatedMatches: TOPICS.length,
        });
        const scores = found.items.map(({ score }) => score);
        expect(scores).toEqual(scores.toSorted((one, other) => other - one));
      }
    }
    expect(await search({ text: 'river', k: 3 })).toMatchObject({
      items: (await search({ text: 'river', k: 100 })).items.slice(0, 3),
    });
  });

  it('shows the chat as a list does, and the message with its text, which ends after 10,000 characters', async () => {
    const long = `chlorophyll ${'🌱'.repeat(11_000)}`;
    const id = await chat('Leaves', ['the grass', long]);
    await allEmbedded();
    const { items } = await search({ text: 'chlorophyll' });
    expect(items).toEqual([
      {
        chat: {
          ...{ id, title: 'Leaves', messageCount: 2, archivedAt: null, pinnedAt: null, version: 1 },
          ...{ createdAt: expect.any(String), updatedAt: expect.any(String) },
        },
        message: {
          ...{ id: expect.any(String), seq: 2, role: 'user', createdAt: expect.any(String) },
          text: [...long].slice(0, 10_000).join(''),
        },
        score: expect.any(Number),
      },
    ]);
  });

  it('finds a message by its words in any form, before those that only mean something alike', async () => {
    const [one, other] = [await chat('x', ['grass grass']), await chat('x', ['Chloroplasts and grass'])];
    await allEmbedded();
    expect(ids(await search({ text: 'grass in a chloroplast' }))).toEqual([other, one]);
  });

  it('AI-2 finds a chat by a misspelt title alone, without a message', async () => {
    const id = await chat('Photosynthesis in the desert', []);
    await chat('Prime numbers', []);
    const { items, meta } = await search({ text: 'fotosynthesis' });
    expect(items).toMatchObject([{ chat: { id }, message: null }]);
    expect(meta.estimatedMatches).toBe(1);
    expect((await search({ text: 'quantum' })).items).toEqual([]);
  });

  it('AI-4 finds a chat by what a client says that it is about', async () => {
    const id = await chat('x', []);
    await contexts.commands.execute(new SetContextVector(ada, id, { vector: about('engine'), model: 'mine' }));
    expect((await search({ vector: about('engine') })).items).toMatchObject([{ chat: { id }, message: null }]);
    expect((await search({ text: 'engine' })).items).toEqual([]); // another model's cannot be compared with a text
  });

  it('leaves archived chats out, unless it is asked for them', async () => {
    const [kept, archived] = [await chat('x', ['the moon']), await chat('x', ['the moon'])];
    await contexts.commands.execute(new ChangeChat(ada, archived, { archived: true }));
    await allEmbedded();
    expect(ids(await search({ text: 'moon' }))).toEqual([kept]);
    expect(ids(await search({ text: 'moon', archived: true }))).toEqual([archived]);
    expect(ids(await search({ text: 'moon', archived: undefined })).toSorted()).toEqual([kept, archived].toSorted());
  });

  it('finds what has been appended, in any branch', async () => {
    const id = await chat('x', ['the grass']);
    await allEmbedded();
    const message = { id: randomUUID(), role: 'user' as const, content: 'the planet', parentId: null };
    await contexts.commands.execute(new AppendMessage(ada, id, message));
    await allEmbedded();
    expect((await search({ text: 'planet' })).items).toMatchObject([{ chat: { id }, message: { id: message.id, seq: 2 } }]);
  });

  it('finds chats by their words while the model does not answer', async () => {
    const id = await chat('x', ['the moon']);
    await allEmbedded();
    const down = jest.spyOn(contexts.localModel(), 'embedQuestion');
    down.mockRejectedValueOnce(new EmbeddingsUnavailable('EMBEDDING_TIMEOUT'));
    const { items } = await search({ text: 'moon' });
    expect(items).toMatchObject([{ chat: { id }, message: { text: 'the moon' } }]);
  });

  it('finds nothing for who has nothing', async () => {
    expect(await search({ text: "it's the \\ moon's" })).toMatchObject({ items: [], meta: { estimatedMatches: 0 } });
  });
});
