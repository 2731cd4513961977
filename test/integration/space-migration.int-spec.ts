import { setTimeout as sleep } from 'node:timers/promises';
import {
  AddDocument,
  ChangeDocument,
  readNewDocument,
  SpaceMigration,
  StartChat,
  type DocumentView,
} from '@studently/ai-interactions';
import type { Learner } from '@studently/platform';
import { EmbeddingModels } from '../../libs/ai-interactions/src/embeddings/embedding-models';
import { Embeddings } from '../../libs/ai-interactions/src/embeddings/embeddings';
import { LOCAL_MODEL } from '../../libs/ai-interactions/src/embeddings/local-embeddings';
import { vectorText } from '../../libs/ai-interactions/src/domain/vector';
import { until } from '../e2e/support';
import { TestContexts } from '../support/contexts';
import { sql } from '../support/database';
import { embeddingOf } from '../support/openai-server';
import { withClient } from '../support/servers';

const GRASS = 'Grass is green.';

/** Answers at once, unless it is held: the same words have the same vector, another one for each model. */
class QuickModel extends Embeddings {
  readonly maxWords = 60;
  readonly batch = 8;
  readonly asked: string[] = [];
  private held?: PromiseWithResolvers<void>;

  constructor(readonly model: string) {
    super();
  }

  hold(): void {
    this.held = Promise.withResolvers();
  }

  release(): void {
    this.held?.resolve();
    this.held = undefined;
  }

  embedQuestion(text: string): Promise<number[]> {
    return Promise.resolve(embeddingOf(text, this.model, 1536));
  }

  async embedPassages(texts: readonly string[]): Promise<number[][]> {
    this.asked.push(...texts);
    await this.held?.promise;
    return texts.map((text) => embeddingOf(text, this.model, 1536));
  }
}

describe('Vector spaces, while models come and go', () => {
  let contexts: TestContexts;
  let migration: SpaceMigration;
  let ada: Learner;
  const models = new Map<string, QuickModel>();
  const named = (model: string): QuickModel => {
    if (!models.has(model)) models.set(model, new QuickModel(model));
    return models.get(model)!;
  };

  beforeEach(async () => {
    contexts = await TestContexts.start();
    migration = new SpaceMigration({ url: contexts.database.adminUrl, embedded: false });
    jest.spyOn(contexts.app.get(EmbeddingModels), 'of').mockImplementation(({ model }) => named(model));
    ada = await contexts.newLearner();
  });
  afterEach(async () => {
    for (const model of models.values()) model.release();
    models.clear();
    await contexts?.stop();
    jest.restoreAllMocks();
  });

  const rows = <Row extends object>(text: string, values: unknown[] = []) => sql<Row>(contexts.database.adminUrl, text, values);
  const add = async (content = GRASS): Promise<string> => {
    const adding = new AddDocument(ada, readNewDocument({ type: 'text', content }));
    return (await contexts.commands.execute<AddDocument, { value: DocumentView }>(adding)).value.id;
  };
  const talk = async (content = GRASS): Promise<string> => {
    const id = crypto.randomUUID();
    const messages = [{ id: crypto.randomUUID(), role: 'user' as const, content }];
    await contexts.commands.execute(new StartChat(ada, { id, title: 'A chat', messages }));
    return id;
  };
  const statusOf = async (id: string) =>
    (await rows<{ status: string; failure: string | null }>('select status, failure from documents where id = $1', [id]))[0];
  const settled = (id: string) => until(async () => (await statusOf(id))?.status !== 'pending' && statusOf(id), 45_000);
  /** How many vectors it has in the spaces of which models, and how many of them that model has not made of this text. */
  const vectorsOf = (id: string, text = GRASS) =>
    rows<{ model: string; vectors: number; foreign: number }>(
      `select s.model, count(*)::int as vectors, count(*) filter (where v.embedding <=> made.embedding > 1e-6)::int as foreign
       from (select space, embedding from passage_vectors where document_id = $1
         union all select space, embedding from turn_vectors where chat_id = $1) v
       join vector_spaces s using (space) join unnest($2::text[], $3::vector[]) made (model, embedding) using (model)
       group by s.model order by s.model`,
      [id, [...models.keys()], [...models.keys()].map((model) => vectorText(embeddingOf(text, model, 1536)))],
    );
  const isDone = (id: string) =>
    until(async () => (await rows('select from jobs where subject_id = $1', [id])).length === 0, 45_000);
  const cutover = (isForced = false) =>
    migration.cutover(async () => ({ questions: 0, recall: 1, overlap: 1 }), isForced, false);

  it('AI-11 what a model is still asked for when its space is removed does not come into the next one', async () => {
    const before = named(LOCAL_MODEL);
    await migration.start('b', null);
    await sleep(1000); // in which everybody hears of it
    named('b').hold();
    const things = [await add(), await talk()];
    await until(async () => before.asked.length === 2);
    await until(async () => named('b').asked.length === 2, 45_000);
    await migration.cleanup(() => undefined);
    await migration.start(named('c').model, null);
    named('b').release();
    await Promise.all(things.map(isDone));
    await rows(`update vector_spaces set since = since - interval '10 seconds'`); // it is filled then
    for (const id of things) {
      await until(async () => (await vectorsOf(id)).length === 2, 45_000);
      const made = { vectors: 1, foreign: 0 };
      expect(await vectorsOf(id)).toEqual([
        { model: 'c', ...made },
        { model: LOCAL_MODEL, ...made },
      ]);
    }
  });

  it('AI-11 another model that is named before there are vectors gets none of the one before', async () => {
    const [kept, old, changed] = ['Grass', 'moon', 'sun'].map((word) => `# ${word}\n\n${`The ${word} is wide. `.repeat(20)}`);
    const id = await add(`${kept}\n\n${old}`);
    await settled(id);
    const before = named(LOCAL_MODEL);
    before.hold();
    await contexts.commands.execute(new ChangeDocument(ada, id, { content: `${kept}\n\n${changed}` }));
    const chat = await talk();
    await until(async () => before.asked.includes(GRASS) && before.asked.some((text) => text.includes('sun')));
    expect(await rows(`select serve_model('d') as model`)).toEqual([{ model: 'd' }]);
    before.release();
    expect(await settled(id)).toEqual({ status: 'ready', failure: null });
    await Promise.all([isDone(id), isDone(chat)]);
    expect(named('d').asked.join()).toContain('The Grass is wide');
    expect(await vectorsOf(chat)).toEqual([{ model: 'd', vectors: 1, foreign: 0 }]);
    expect((await migration.status()).spaces).toMatchObject([{ model: 'd', state: 'serving', lacking: 0 }]);
  });

  it('AI-11 a document that a model embeds until it is gone is embedded by the one that answers then', async () => {
    named(LOCAL_MODEL).hold();
    const id = await add();
    await until(async () => named(LOCAL_MODEL).asked.length > 0);
    await migration.start('b', null);
    await cutover(true);
    await migration.cleanup(() => undefined);
    named(LOCAL_MODEL).release();
    expect(await settled(id)).toEqual({ status: 'ready', failure: null });
    expect(await vectorsOf(id)).toEqual([{ model: 'b', vectors: 1, foreign: 0 }]);
  });

  it('AI-11 a space of which some is removed answers no more, also when that was interrupted; another cleanup ends it', async () => {
    await migration.start(named('b').model, null);
    const id = await add();
    await until(async () => (await vectorsOf(id)).length === 2, 45_000);
    const interrupted = migration.cleanup(() => {
      throw new Error('interrupted');
    });
    await expect(interrupted).rejects.toThrow('interrupted');
    const beingRemoved = { message: expect.stringMatching(/b are being removed: .*cleanup/) };
    for (const isForced of [false, true]) {
      await expect(migration.rollback(isForced, true)).rejects.toMatchObject(beingRemoved);
      await expect(migration.rollback(isForced, false)).rejects.toMatchObject(beingRemoved);
      await expect(cutover(isForced)).rejects.toMatchObject(beingRemoved);
    }
    await expect(migration.start('b', null)).rejects.toThrow('cleanup');
    expect((await migration.status()).spaces).toMatchObject([{ state: 'serving' }, { model: 'b', state: 'removing' }]);
    await sleep(1000); // in which everybody hears of it
    const added = await add('The moon is a rock.');
    expect(await settled(added)).toMatchObject({ status: 'ready' });
    await isDone(added);
    expect(named('b').asked).toEqual([GRASS]);
    await migration.cleanup(() => undefined);
    expect((await migration.status()).spaces).toMatchObject([{ model: LOCAL_MODEL, state: 'serving', vectors: 2 }]);
  });

  it('AI-11 while the vectors of the model before are removed it does not answer again: one always does', async () => {
    await migration.start(named('b').model, null);
    await isDone(await add());
    await cutover(true);
    await withClient(contexts.database.adminUrl, async (other) => {
      await other.query('begin; lock table passage_vectors in row exclusive mode'); // as who is adding vectors: it is waited for
      const cleanup = migration.cleanup(() => undefined);
      await until(async () => (await rows('select from pg_locks where not granted')).length > 0);
      await expect(migration.rollback(true, false)).rejects.toThrow('being removed');
      await other.query('commit');
      await cleanup;
    });
    expect((await migration.status()).spaces).toMatchObject([{ model: 'b', state: 'serving' }]);
  });

  it('AI-11 the model before does not answer again while vectors of it are still to be made, unless it is forced to', async () => {
    await migration.start(named('b').model, null);
    await isDone(await add());
    await cutover(true);
    await sleep(1000); // in which everybody hears of it
    named(LOCAL_MODEL).hold();
    const id = await add('The moon is a rock.');
    await until(async () => named(LOCAL_MODEL).asked.length === 2, 45_000);
    for (const isDry of [true, false]) {
      await expect(migration.rollback(false, isDry)).rejects.toThrow('1 documents or chats wait for vectors of');
    }
    await rows(`update jobs set dead_at = now(), failure = 'error', taken = taken + 1 where subject_id = $1`, [id]);
    await expect(migration.rollback(false, false)).rejects.toThrow('1 documents or chats were given up');
    expect(await migration.rollback(true, true)).toBe(1);
    expect(await migration.rollback(true, false)).toBe(1);
    expect((await migration.status()).spaces).toMatchObject([
      { model: LOCAL_MODEL, state: 'serving', lacking: 0 },
      { model: 'b', state: 'filling' },
    ]);
  });

  it('AI-11 a model that was forced to answer before it was filled goes on being filled once the one before answers again', async () => {
    const id = await add();
    await settled(id);
    await migration.start(named('b').model, null);
    await cutover(true);
    await migration.rollback(false, false);
    await expect(cutover()).rejects.toThrow('It is not filled yet');
    await rows(`update vector_spaces set since = since - interval '10 seconds'`);
    await until(async () => (await vectorsOf(id)).length === 2, 45_000);
    await until(async () =>
      (await migration.status()).spaces.every(({ state, isReached }) => state === 'serving' || isReached),
    );
    await isDone(id);
    await cutover();
  });
});
