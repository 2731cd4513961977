import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import {
  AddDocument,
  ChangeDocument,
  DeleteDocument,
  GetDocument,
  readNewDocument,
  SearchDocuments,
  type DocumentView,
} from '@studently/ai-interactions';
import { LearnerKeys, type Learner } from '@studently/platform';
import { EmbeddingsUnavailable } from '../../libs/ai-interactions/src/domain/document.errors';
import type { Embeddings } from '../../libs/ai-interactions/src/embeddings/embeddings';
import { until } from '../e2e/support';
import { TestContexts } from '../support/contexts';
import { sql } from '../support/database';

const GRASS = 'Grass is green.';
const LONG = Array.from({ length: 200 }, (_, nr) => `Sentence ${nr} says something about the green grass of a garden.`).join(
  ' ',
);

describe('Embedding in the background', () => {
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
  });
  afterEach(() => jest.restoreAllMocks());

  const rows = <Row extends object>(text: string, values: unknown[] = []) => sql<Row>(contexts.database.adminUrl, text, values);
  const add = async (content: string, more: object = {}): Promise<DocumentView> =>
    (await contexts.commands.execute(new AddDocument(ada, readNewDocument({ type: 'text', content, ...more })))).value;
  const get = async (id: string): Promise<DocumentView> => (await contexts.queries.execute(new GetDocument(ada, id))).value;
  const settled = (id: string, withinMs = 45_000) =>
    until(async () => {
      const document = await get(id);
      return document.status !== 'pending' && document;
    }, withinMs);
  const jobOf = async (id: string) =>
    (
      await rows<{ attempts: number; due: boolean }>(
        'select attempts, available_at <= clock_timestamp() as due from jobs where subject_id = $1',
        [id],
      )
    )[0];
  const hurry = (id: string) => rows('update jobs set available_at = clock_timestamp() where subject_id = $1', [id]);
  /** The model as it is, but for some passages. */
  function pretend(what: (texts: readonly string[]) => Promise<void> | void): void {
    const real = embeddings.embedPassages.bind(embeddings);
    jest.spyOn(embeddings, 'embedPassages').mockImplementation(async (texts) => {
      await what(texts);
      return real(texts);
    });
  }

  /** A model of no depth, which is quick: the same text has the same vector. */
  function quick(what: (texts: readonly string[]) => Promise<void> | void = () => undefined): void {
    jest.spyOn(embeddings, 'embedPassages').mockImplementation(async (texts) => {
      await what(texts);
      return texts.map((text) => [...createHash('sha256').update(text).digest(), ...Array<number>(1504).fill(0)]);
    });
  }

  /** A model that does not answer until it is told to fail. */
  function stuck() {
    const { promise, reject } = Promise.withResolvers<never>();
    const embed = jest.spyOn(embeddings, 'embedPassages').mockReturnValue(promise);
    return { embed, fail: () => reject(new EmbeddingsUnavailable('EMBEDDING_FAILED')) };
  }

  it('begins at once, and leaves passages, the mean of their vectors and no job', async () => {
    const { id } = await add(LONG);
    const document = await settled(id);
    expect(document.status).toBe('ready');
    const [row] = await rows(
      `select count(*)::int as passages, min(ordinal)::int as first, max(ordinal)::int as last, count(v.embedding)::int as embedded,
         max(d.embedding <=> (select avg(embedding) from passage_vectors where document_id = d.id)) < 1e-6 as "isMean"
       from document_passages p join documents d on d.id = p.document_id left join passage_vectors v on v.passage_id = p.id
       where d.id = $1`,
      [id],
    );
    const { passages } = document;
    expect(row).toEqual({ passages, first: 1, last: passages, embedded: passages, isMean: true });
    const cipher = await contexts.app.get(LearnerKeys).toOpen(ada.userId);
    const kept = await rows<{ id: string; starts_at: number; content_sealed: Buffer }>(
      'select id, starts_at, content_sealed from document_passages where document_id = $1',
      [id],
    );
    for (const { id, starts_at, content_sealed } of kept)
      expect(document.content.startsWith(cipher.open('document_passages.content', id, content_sealed), starts_at)).toBe(true);
    expect(await jobOf(id)).toBeUndefined();
    const audited = await rows<{ action: string }>('select action from audit_events where subject_id = $1 order by id', [id]);
    expect(audited.map(({ action }) => action)).toEqual(['document.added', 'document.embedded']);
  });

  it('tries again, later and later', async () => {
    const tried: number[] = [];
    pretend(() => {
      tried.push(performance.now());
      if (tried.length < 3) throw new EmbeddingsUnavailable('EMBEDDING_FAILED');
    });
    expect(await settled((await add(GRASS)).id)).toMatchObject({ status: 'ready', version: 2 });
    const [first, second, third] = tried as [number, number, number];
    expect(second - first).toBeGreaterThan(900);
    expect(third - second).toBeGreaterThan(1900);
  });

  it('a poisonous document says so after five attempts, and holds up no other', async () => {
    pretend((texts) => {
      if (texts.some((text) => text.includes('poison'))) throw new EmbeddingsUnavailable('EMBEDDING_TIMEOUT');
    });
    const poison = await Promise.all([1, 2, 3, 4].map((nr) => add(`The poison number ${nr}.`)));
    const good = await add(GRASS);
    expect(await settled(good.id, 3000)).toMatchObject({ status: 'ready' });
    for (const { id } of poison) {
      const failed = await until(async () => {
        await hurry(id);
        const document = await get(id);
        return document.status !== 'pending' && document;
      });
      expect(failed).toMatchObject({ status: 'failed', failure: 'EMBEDDING_TIMEOUT', passages: 1 });
      expect(await jobOf(id)).toBeUndefined();
    }
    const found = (await contexts.queries.execute(new SearchDocuments(ada, { text: 'poison', mode: 'text', k: 10 }))).value;
    expect(found.items).toHaveLength(4); // by its words it is found all the same

    jest.restoreAllMocks();
    const { id, content } = poison[0]!;
    const again = (await contexts.commands.execute(new ChangeDocument(ada, id, { content }))).value;
    expect(again).toMatchObject({ status: 'pending', failure: null, passages: 0 });
    expect(await settled(id)).toMatchObject({ status: 'ready' });
  });

  it('a document that ends the process each time is given up without another attempt', async () => {
    const { embed, fail } = stuck(); // as if dead
    const { id } = await add('deadly');
    await until(async () => embed.mock.calls.length > 0);
    embed.mockClear();
    await rows(`update jobs set attempts = 5 where subject_id = $1`, [id]);
    // Until it is taken again: who holds it renews its lease.
    const due = 'update jobs set available_at = clock_timestamp() where subject_id = $1 and attempts = 5';
    try {
      const failed = await until(async () => {
        await rows(due, [id]);
        const document = await get(id);
        return document.status !== 'pending' && document;
      }, 20_000);
      expect(failed).toMatchObject({ status: 'failed', failure: 'EMBEDDING_FAILED', passages: 1 });
      expect(embed).not.toHaveBeenCalled();
    } finally {
      fail();
    }
  });

  it('goes on when the thread is killed in the middle of a document', async () => {
    const { id } = await add(LONG);
    const { threads } = embeddings as unknown as { threads: { thread?: Worker }[] };
    const thread = await until(async () => threads[0]?.thread);
    await until(async () => (await jobOf(id))?.attempts === 1);
    await thread.terminate();
    expect(await settled(id)).toMatchObject({ status: 'ready' });
  });

  it('what has changed meanwhile is embedded as it is now', async () => {
    // What the model does not read keeps nobody from keeping what it says: a client that changes it each minute would wait for ever.
    const cases = [
      { changes: { content: 'The moon is a rock.' }, isAskedAgain: true },
      { changes: { title: 'Another title', metadata: { read: 1 }, type: 'markdown' }, isAskedAgain: false },
      { changes: { content: 'Moss is soft.', title: 'The same' }, isAskedAgain: false },
    ];
    for (const { changes, isAskedAgain } of cases) {
      let times = 0;
      pretend(async ([text]) => {
        if (text !== 'Moss is soft.' && text !== 'The moon is a rock.') return; // another test's
        if (times++ === 0) await contexts.commands.execute(new ChangeDocument(ada, id, changes));
      });
      const { id } = await add('Moss is soft.');
      const document = await settled(id);
      expect(document).toMatchObject({ content: 'Moss is soft.', ...changes, status: 'ready', passages: 1, version: 3 });
      expect(times > 1).toBe(isAskedAgain);
      const [passage] = await rows<{ id: string; content_sealed: Buffer }>(
        'select id, content_sealed from document_passages where document_id = $1',
        [id],
      );
      const cipher = await contexts.app.get(LearnerKeys).toOpen(ada.userId);
      expect(cipher.open('document_passages.content', passage!.id, passage!.content_sealed)).toBe(document.content);
      await until(async () => !(await jobOf(id))); // the change has left a job of its own, with nothing to do
      jest.restoreAllMocks();
    }
  });

  it('AI-9 after a change in the middle the model is asked for what is new alone, and nothing old is found', async () => {
    const sections = (nr: number, word: string) =>
      Array.from({ length: 10 }, (_, at) => `Sentence ${nr} ${at} is about the green grass, its ${word} and its roots.`).join(
        ' ',
      );
    const content = Array.from({ length: 40 }, (_, nr) => `# Part ${nr}\n\n${sections(nr, 'leaves')}`);
    quick();
    const { id } = await add(content.join('\n\n'));
    const before = await settled(id);
    expect(before.passages).toBeGreaterThan(100);
    const vectors = async () =>
      rows<{ starts_at: number; embedding: string }>(
        `select p.starts_at, v.embedding::text from document_passages p join passage_vectors v on v.passage_id = p.id
         where p.document_id = $1 order by p.ordinal`,
        [id],
      );
    const old = await vectors();
    const asked: string[] = [];
    const { promise: held, resolve: go } = Promise.withResolvers<void>();
    jest.restoreAllMocks();
    quick(async (texts) => {
      asked.push(...texts);
      await held;
    });
    const words = async (text: string) =>
      (await contexts.queries.execute(new SearchDocuments(ada, { text, k: 10, mode: 'text' }))).value.items.map(
        ({ passage }) => passage.text,
      );
    content[20] = content[20]!.replace('leaves', 'platypuses');
    await contexts.commands.execute(new ChangeDocument(ada, id, { content: content.join('\n\n') }));
    await until(async () => asked.length > 0);
    expect(await words('green grass and leaves')).toEqual([]); // nothing that may not be in it any more
    go();
    const after = await settled(id);
    expect(asked.length).toBeLessThanOrEqual(3);
    expect(asked.every((text) => text.includes('platypuses'))).toBe(true);
    expect(after).toMatchObject({ status: 'ready', passages: before.passages });
    const now = await vectors();
    expect(now).toHaveLength(old.length);
    expect(now.filter(({ embedding }, nr) => embedding !== old[nr]!.embedding)).toHaveLength(asked.length);
    expect((await words('platypuses'))[0]).toContain('platypuses');
    expect(await rows('select 1 from former_vectors where document_id = $1', [id])).toEqual([]);
  });

  it('AI-9 passages know their headings and where they end, and are found by the words of both', async () => {
    const prose = (word: string) => `${Array.from({ length: 30 }, () => word).join(' ')}.`;
    const content = `# Botany\n\n## Mosses\n\n${prose('soft')}\n\n${prose('green')}\n\n${prose('wet')}`;
    quick();
    const { id } = await add(content);
    await settled(id);
    const { items } = (await contexts.queries.execute(new SearchDocuments(ada, { text: 'mosses', mode: 'text', k: 10 }))).value;
    expect(items.length).toBeGreaterThan(1);
    for (const { passage } of items) {
      expect(passage.headings).toEqual(['Botany', 'Mosses']);
      expect(content.slice(passage.startsAt, passage.endsAt)).toBe(passage.text);
    }
  });

  it('what is deleted meanwhile leaves nothing behind', async () => {
    const id = await new Promise<string>((resolve) => {
      const adding = { id: '' };
      pretend(async () => {
        await contexts.commands.execute(new DeleteDocument(ada, adding.id));
        resolve(adding.id);
      });
      void add(GRASS, { id: (adding.id = crypto.randomUUID()) });
    });
    await sleep(300);
    expect(await rows('select 1 from documents where id = $1', [id])).toEqual([]);
    expect(await jobOf(id)).toBeUndefined();
    expect(await rows('select 1 from document_passages where document_id = $1', [id])).toEqual([]);
  });

  it('SEC-2 the worker sees ids alone: no content, no passage', async () => {
    await add(GRASS);
    for (const table of ['documents', 'document_passages']) {
      await expect(
        sql(contexts.database.url, `select * from ${table}`, [], { role: 'studently_worker', userId: ada.userId }),
      ).rejects.toMatchObject({ code: '42501' });
    }
  });

  it('a process that ends gives its document back, and another one goes on at once', async () => {
    const ending = await TestContexts.start();
    const learner = await ending.newLearner();
    const { id } = (await ending.commands.execute(new AddDocument(learner, readNewDocument({ type: 'text', content: LONG }))))
      .value;
    const job = async () =>
      (
        await sql<{ attempts: number; seconds: number }>(
          ending.database.adminUrl,
          `select attempts, extract(epoch from available_at - clock_timestamp())::float8 as seconds from jobs where subject_id = $1`,
          [id],
        )
      )[0];
    await until(async () => (await job())?.attempts === 1);
    await ending.app.close();
    expect(await job()).toEqual({ attempts: 0, seconds: expect.any(Number) });
    expect((await job())!.seconds).toBeLessThan(2);
    await ending.database.drop();
  });
});
