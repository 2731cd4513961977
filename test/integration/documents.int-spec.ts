import { randomUUID } from 'node:crypto';
import {
  AddDocument,
  ChangeDocument,
  CountDocuments,
  GetDocument,
  ImportDocuments,
  ListDocuments,
  readNewDocument,
} from '@studently/ai-interactions';
import { takeInChunks, type BulkLine, type Learner } from '@studently/platform';
import { TestContexts } from '../support/contexts';
import { sql } from '../support/database';

/** A vector of 1536 numbers that begins with these. */
const vector = (...first: number[]) => [...first, ...Array<number>(1536 - first.length).fill(0)];
const fields = { type: 'text', content: 'Grass is green.' };

describe('Documents in bulk', () => {
  let contexts: TestContexts;
  let ada: Learner;
  beforeAll(async () => {
    contexts = await TestContexts.start();
  });
  afterAll(() => contexts?.stop());
  beforeEach(async () => {
    ada = await contexts.newLearner();
  });

  const lines = (...documents: object[]): BulkLine<ReturnType<typeof readNewDocument>>[] =>
    documents.map((document, index) => ({ line: index + 1, value: readNewDocument(document), bytes: 100 }));
  const take = async (documents: ReturnType<typeof lines>, batchId?: string, actor = ada) =>
    (await contexts.commands.execute(new ImportDocuments(actor, documents, batchId))).value;
  const titles = async () =>
    (await contexts.queries.execute(new ListDocuments(ada, {}, { limit: 200 }))).value.items.map(({ title }) => title).sort();

  it('a bad line sinks no good one: an unknown type, an id that is taken', async () => {
    const [taken, same] = [randomUUID(), randomUUID()];
    await contexts.commands.execute(new AddDocument(ada, readNewDocument({ ...fields, id: taken, title: 'a' })));
    const embedding = vector(1, 0.1);
    const result = await take(
      lines(
        { ...fields, title: 'b' },
        { ...fields, title: 'c', type: 'hologram' },
        { ...fields, title: 'd', id: taken },
        { ...fields, title: 'a', id: taken },
        { ...fields, title: 'e', id: same, embedding, metadata: { a: [1, null], b: 0.1 } },
        { ...fields, title: 'e', id: same, embedding, metadata: { b: 0.1, a: [1, null] } },
        { ...fields, title: 'e', id: same, embedding: vector(1, 0.2), metadata: { a: [1, null], b: 0.1 } },
      ),
    );
    expect(result).toEqual({
      accepted: 4,
      rejected: [
        { line: 2, code: 'VALIDATION_FAILED', detail: 'type: There is no such type of document.' },
        { line: 3, code: 'ID_TAKEN', detail: expect.any(String) },
        { line: 7, code: 'ID_TAKEN', detail: expect.any(String) },
      ],
    });
    expect(await titles()).toEqual(['a', 'b', 'e']);
    const ready = (await contexts.queries.execute(new GetDocument(ada, same))).value;
    expect(ready).toMatchObject({ status: 'ready', passages: 1, content: fields.content });
  });

  it('with a Batch-Id a line is accepted once, whatever became of the first request', async () => {
    const documents = lines(...Array.from({ length: 10 }, (_, nr) => ({ ...fields, title: `${nr}` })));
    expect(await take(documents.slice(0, 4), 'batch')).toEqual({ accepted: 4, rejected: [] });
    expect(await take(documents, 'batch')).toEqual({ accepted: 10, rejected: [] });
    expect(await take(documents, 'batch')).toEqual({ accepted: 10, rejected: [] });
    expect(await titles()).toHaveLength(10);
    await take(
      documents.map((line) => ({ ...line, value: { ...line.value, id: randomUUID() } })),
      'another',
    );
    expect(await titles()).toHaveLength(20);
  });

  it('leaves one event for each chunk, and none where nothing is new', async () => {
    const documents = lines({ ...fields, id: randomUUID() }, { ...fields, id: randomUUID() });
    await take(documents);
    await take(documents);
    const audited = await sql<{ action: string }>(
      contexts.database.adminUrl,
      `select action from audit_events where learner_id = $1 and action like 'document.imp%'`,
      [ada.userId],
    );
    expect(audited).toHaveLength(1);
  });

  it('takes thousands in chunks', async () => {
    async function* many() {
      for (let line = 1; line <= 2500; line++)
        yield { line, value: readNewDocument({ ...fields, title: `${line}` }), bytes: 60 };
    }
    const result = await takeInChunks(many(), (chunk) => contexts.commands.execute(new ImportDocuments(ada, chunk)));
    expect(result.value).toEqual({ accepted: 2500, rejected: [], rejectedCount: 0 });
    const counts = (await contexts.queries.execute(new CountDocuments(ada))).value;
    expect(counts.pending + counts.ready).toBe(2500);
    await sql(contexts.database.adminUrl, 'delete from documents where user_id = $1', [ada.userId]);
  });

  it('a changed content is embedded anew, a changed title is not', async () => {
    const { id } = (await contexts.commands.execute(new AddDocument(ada, readNewDocument({ ...fields, embedding: vector(1) }))))
      .value;
    const change = async (changes: object) => (await contexts.commands.execute(new ChangeDocument(ada, id, changes))).value;
    expect(await change({ title: 'x' })).toMatchObject({ status: 'ready', passages: 1, title: 'x' });
    expect(await change({ content: fields.content })).toMatchObject({ status: 'ready' });
    expect(await change({ content: 'Another.' })).toMatchObject({ status: 'pending', passages: 0, title: 'x' });
    expect(await change({ embedding: vector(0, 1) })).toMatchObject({ status: 'ready', passages: 1, content: 'Another.' });
  });
});
