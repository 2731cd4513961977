import { createHash, randomUUID } from 'node:crypto';
import {
  AddDocument,
  AppendMessage,
  GetContext,
  newDocument,
  StartChat,
  type ChatContext,
  type ContextRequest,
} from '@studently/ai-interactions';
import type { Learner } from '@studently/platform';
import { EmbeddingsUnavailable } from '../../libs/ai-interactions/src/domain/document.errors';
import { until } from '../e2e/support';
import { TestContexts } from '../support/contexts';
import { sql } from '../support/database';

const TOPICS = 'grass moon river planet engine theory colour music history'.split(' ');
/** Each topic is a direction of its own; the other words tell texts of one topic apart. */
const vectorOf = (text: string): number[] => {
  const vector = Array<number>(1536).fill(0);
  for (const word of text.toLowerCase().match(/\w+/g) ?? []) {
    const bytes = createHash('shake256', { outputLength: 1536 }).update(word).digest();
    bytes.forEach((byte, nr) => (vector[nr]! += (byte - 127.5) / 10_000));
  }
  TOPICS.forEach((topic, nr) => (vector[nr]! += text.split(topic).length - 1));
  return vector;
};

describe('The context of a chat', () => {
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

  async function chat(contents: string[], owner = ada): Promise<string> {
    const id = randomUUID();
    const messages = contents.map((content) => ({ id: randomUUID(), role: 'user' as const, content }));
    await contexts.commands.execute(new StartChat(owner, { id, title: 'A chat', messages }));
    return id;
  }
  const document = (title: string, content: string, owner = ada) =>
    contexts.commands.execute(new AddDocument(owner, newDocument({ type: 'text', title, content })));
  const allEmbedded = () =>
    until(async () => {
      const [waiting] = await sql<{ count: number }>(
        contexts.database.adminUrl,
        `select (select count(*) from documents where status = 'pending')::int
           + (select count(*) from chats where embedded_count < message_count)::int as count`,
      );
      return waiting!.count === 0;
    }, 60_000);
  const context = async (chatId: string, request: Partial<ContextRequest> = {}): Promise<ChatContext> =>
    (await contexts.queries.execute(new GetContext(ada, chatId, { text: 'the moon', tokenBudget: 200, ...request }))).value;
  const contents = ({ items }: ChatContext) => items.map(({ rendered }) => rendered.content);

  it('has what matters of documents and of earlier turns, and the last turns; the same again', async () => {
    const fillers = Array.from({ length: 12 }, (_, nr) => `Something else, for the ${nr}th time, and at some length.`);
    const id = await chat(['My cat is called moon.', ...fillers, 'And the moon?']);
    await document('Tides', 'The moon moves the sea.');
    await document('Others', 'The engine of a car.');
    await document('Secret', 'The moon of somebody else.', await contexts.newLearner());
    await allEmbedded();
    const answer = await context(id, { tokenBudget: 110 });
    expect(contents(answer)).toEqual(
      expect.arrayContaining(['[Tides, passage 1]\nThe moon moves the sea.', 'My cat is called moon.', 'And the moon?']),
    );
    expect(contents(answer).join()).not.toContain('somebody else');
    expect(answer.tokens).toBeLessThanOrEqual(110);
    expect(answer.items.find((item) => item.kind === 'turn' && item.message.seq === 1)).toMatchObject({ isRecent: false });
    expect((await context(id, { tokenBudget: 110 })).items).toEqual(answer.items);
  });

  it('has one of several passages that say nearly the same', async () => {
    const id = await chat(['hello']);
    await document('One', 'The moon, and the river.');
    await document('Other', 'The river, and the moon.');
    await document('Third', 'An engine.');
    await allEmbedded();
    const passages = (await context(id, { tokenBudget: 1000 })).items.flatMap((item) =>
      item.kind === 'passage' ? [item.document.title] : [],
    );
    expect(passages).toHaveLength(2);
    expect(passages).toContain('Third');
  });

  it('looks at the branch alone', async () => {
    const id = await chat(['The moon is far.', 'How far is the river?']);
    const leaf = randomUUID();
    const anew = { id: leaf, role: 'user' as const, content: 'Let us begin anew.', parentId: null };
    await contexts.commands.execute(new AppendMessage(ada, id, anew));
    await allEmbedded();
    expect(contents(await context(id, { leaf }))).toEqual(['Let us begin anew.']);
    expect(contents(await context(id))).toEqual(['Let us begin anew.']); // the newest message
  });

  it('finds by words while the model does not answer, and says so', async () => {
    const id = await chat(['hello']);
    await document('Tides', 'The moon moves the sea.');
    await allEmbedded();
    const down = jest.spyOn(contexts.localModel(), 'embedQuestion');
    down.mockRejectedValueOnce(new EmbeddingsUnavailable('EMBEDDING_TIMEOUT'));
    const { items, meta } = await context(id);
    expect(items).toMatchObject([{ document: { title: 'Tides' } }, { message: { text: 'hello' } }]);
    expect(meta).toMatchObject({ strategy: 'text', why: expect.stringContaining('the model does not answer now') });
  });

  it('of an empty chat of who has nothing is empty', async () => {
    expect(await context(await chat([]))).toMatchObject({ items: [], tokens: 0, tokenBudget: 200 });
    await expect(context(randomUUID())).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(context(await chat(['x']), { leaf: randomUUID() })).rejects.toMatchObject({ code: 'VALIDATION_FAILED' });
  });
});
