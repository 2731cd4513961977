import { randomUUID } from 'node:crypto';
import {
  AddDocument,
  ChangeDocument,
  DeleteDocument,
  GetDocument,
  ListSharedDocuments,
  PublishDocument,
  readNewDocument,
  SearchDocuments,
  UnpublishDocument,
  type DocumentSearch,
  type FoundPassage,
  type SearchResult,
} from '@studently/ai-interactions';
import { DeleteUser } from '@studently/identity';
import { Database, type Learner } from '@studently/platform';
import { conditionOf } from '../../libs/ai-interactions/src/queries/search/document-filter';
import { rankedShared, SharedNearestPassages } from '../../libs/ai-interactions/src/queries/search/shared-nearest';
import { TestContexts } from '../support/contexts';
import { sql } from '../support/database';
import { withClient } from '../support/servers';

const PASSAGES = 5000;
const QUESTIONS = 20;
/** Each lets a tenth of the one before through. */
const FILTERS: [selectivity: string, filter: DocumentSearch['filter'], matches: number][] = [
  ['100 %', undefined, PASSAGES],
  ['100 % by a filter', { type: 'lecture' }, PASSAGES],
  ['10 %', { metadata: { tenth: 3 } }, PASSAGES / 10],
  ['1 %', { metadata: { hundredth: 3 } }, PASSAGES / 100],
  ['0.1 %', { metadata: { thousandth: { $eq: 3 } } }, 6],
  ['nothing', { metadata: { thousandth: -1 } }, 0],
];

const random = (row: string) =>
  `(select l2_normalize(array_agg(random() - 0.5)::vector) from generate_series(1, 1536) where ${row} is not null)`;
const times = (length: number) => `array_fill(${length}::real, array[1536])::vector`;
/** Each is a topic and, as noise, three of 300 directions: as clustered as embeddings are, and made in seconds. */
const VECTORS = `
  create table topics as select nr, ${random('nr')} as vector from generate_series(0, 49) nr;
  create table noises as select nr, ${random('nr')} as vector from generate_series(0, 299) nr;
  create table vectors as
  select p.nr, l2_normalize(topic.vector + l2_normalize(a.vector + b.vector + c.vector) * ${times(0.65)}) as vector
  from generate_series(0, ${PASSAGES - 1}) p (nr)
  join topics topic on topic.nr = p.nr % 50
  join noises a on a.nr = p.nr * 7 % 300
  join noises b on b.nr = p.nr / 3 % 300
  join noises c on c.nr = hashint4(p.nr) & 255;`;
const document = (nr: string) => `md5('document ' || ${nr} / 2)::uuid`;
const PUBLISHED = `
  insert into published_documents (user_id, id, type, title, metadata, space, vectors)
  select $1, ${document('nr')}, 'lecture', 'Lecture', jsonb_build_object('tenth', nr / 2 % 10, 'hundredth', nr / 2 % 100, 'thousandth', nr / 2 % 1000, 'topics', nr / 2 % 25), 0, 2
  from generate_series(0, ${PASSAGES - 1}, 2) nr`;
const PASSAGE = `
  insert into published_passages (user_id, id, document_id, ordinal, content, starts_at, ends_at, space, embedding)
  select $1, md5('passage ' || nr)::uuid, ${document('nr')}, 1 + nr % 2, 'Mitosis makes two cells.', 0, 24, 0, vector::halfvec from vectors`;

const vector = (...first: number[]) => [...first, ...Array<number>(1536 - first.length).fill(0)];

describe('Shared corpora', () => {
  let contexts: TestContexts;
  let teacher: Learner;
  let ada: Learner;
  beforeAll(async () => {
    contexts = await TestContexts.start();
    teacher = { ...(await contexts.newLearner()), role: 'TEACHER' };
    ada = await contexts.newLearner();
  }, 60_000);
  afterAll(() => contexts?.stop());
  afterEach(() => jest.restoreAllMocks());

  const rows = <Row extends object>(text: string, values: unknown[] = []) => sql<Row>(contexts.database.adminUrl, text, values);
  const search = async (wanted: DocumentSearch, actor = ada): Promise<SearchResult> =>
    (await contexts.queries.execute(new SearchDocuments(actor, { scope: 'shared', ...wanted }))).value;
  const documentsOf = ({ items }: SearchResult) => items.map((item) => item.document.id);
  const shared = async (type?: string) =>
    (await contexts.queries.execute(new ListSharedDocuments(ada, { type }, { limit: 200 }))).value.items;

  async function add(owner: Learner, content: string, embedding: number[], more: object = {}): Promise<string> {
    const wanted = readNewDocument({ type: 'guide', content, embedding, ...more });
    await contexts.commands.execute(new AddDocument(owner, wanted));
    return wanted.id;
  }
  async function publish(owner: Learner, ...document: [content: string, embedding: number[], more?: object]): Promise<string> {
    const id = await add(owner, ...document);
    await contexts.commands.execute(new PublishDocument(owner, id));
    return id;
  }

  describe('of what a teacher publishes', () => {
    const east = vector(1);

    it('is found by everybody, by meaning and by words, with whose it is; what is private is not', async () => {
      const secret = await add(teacher, 'A quokka nobody else may see.', east);
      const id = await publish(teacher, 'The quokka is a small wallaby.', vector(3, 0.1), {
        title: 'Wallabies',
        metadata: { course: 'zoology' },
      });
      for (const wanted of [{ vector: east }, { text: 'quokkas', mode: 'text' as const }]) {
        for (const scope of ['shared', 'all'] as const) {
          const found = await search({ ...wanted, k: 10, scope });
          expect(found.items).toEqual([
            {
              document: {
                ...{ id, type: 'guide', title: 'Wallabies', metadata: { course: 'zoology' } },
                publishedBy: teacher.userId,
              },
              passage: expect.objectContaining({ ordinal: 1, text: 'The quokka is a small wallaby.', startsAt: 0 }),
              score: expect.any(Number),
            },
          ]);
        }
        expect((await search({ ...wanted, k: 10, scope: 'own' })).items).toEqual([]);
        expect(documentsOf(await search({ ...wanted, k: 10, scope: 'own' }, teacher)).sort()).toEqual([id, secret].sort());
        // One's own is not there twice.
        expect(documentsOf(await search({ ...wanted, k: 10, scope: 'all' }, teacher)).sort()).toEqual([id, secret].sort());
      }
      expect(await shared('guide')).toEqual([
        {
          ...{ id, type: 'guide', title: 'Wallabies', metadata: { course: 'zoology' } },
          ...{ publishedBy: teacher.userId, publishedAt: expect.any(String) },
        },
      ]);
      expect(await shared('essay')).toEqual([]);
      await contexts.commands.execute(new UnpublishDocument(teacher, id));
    });

    it('stays as it was published until it is published anew, and leaves when it is withdrawn, or deleted', async () => {
      const content = async () =>
        (await search({ text: 'axolotl', mode: 'text', k: 5 })).items.map(({ passage }) => passage.text);
      const publishedAt = async () => (await contexts.queries.execute(new GetDocument(teacher, id))).value.publishedAt;
      const id = await publish(teacher, 'The axolotl is an old salamander.', east);
      const before = await publishedAt();
      expect(before).toEqual(expect.any(String));
      const changes = { content: 'The axolotl is a new salamander.', embedding: east };
      await contexts.commands.execute(new ChangeDocument(teacher, id, changes));
      expect([await content(), await publishedAt()]).toEqual([['The axolotl is an old salamander.'], before]);
      await contexts.commands.execute(new PublishDocument(teacher, id));
      expect(await content()).toEqual(['The axolotl is a new salamander.']);
      expect((await publishedAt())! > before!).toBe(true);
      for (let time = 0; time < 2; time++) await contexts.commands.execute(new UnpublishDocument(teacher, id));
      expect([await content(), await publishedAt()]).toEqual([[], null]);
      await contexts.commands.execute(new PublishDocument(teacher, id));
      expect(await content()).toHaveLength(1);
      await contexts.commands.execute(new DeleteDocument(teacher, id));
      expect(await content()).toEqual([]);
    });

    it('leaves with the one who has published it', async () => {
      const leaving: Learner = { ...(await contexts.newLearner()), role: 'TEACHER' };
      const id = await publish(leaving, 'The okapi leaves.', east);
      expect((await shared()).map((each) => each.id)).toContain(id);
      await contexts.commands.execute(new DeleteUser(leaving, leaving.userId));
      expect(await rows('select 1 from published_passages where user_id = $1', [leaving.userId])).toEqual([]);
      expect((await shared()).map((each) => each.id)).not.toContain(id);
    });

    it('has to be ready, and to be there', async () => {
      const wanted = readNewDocument({ type: 'guide', content: 'Not embedded yet.' });
      await contexts.silence();
      await contexts.commands.execute(new AddDocument(teacher, wanted));
      await expect(contexts.commands.execute(new PublishDocument(teacher, wanted.id))).rejects.toMatchObject({
        code: 'DOCUMENT_NOT_READY',
      });
      const others = await add(ada, 'Of a learner.', east);
      await expect(contexts.commands.execute(new PublishDocument(teacher, others))).rejects.toMatchObject({
        code: 'NOT_FOUND',
      });
    });

    it('is copied whole, however long the one passage of a supplied embedding is', async () => {
      const id = await publish(teacher, `${'grass '.repeat(5000)}okapi`, east);
      const { items } = await search({ text: 'okapi', mode: 'text', k: 5 });
      expect(items.map(({ document, passage }) => [document.id, passage.text.length])).toEqual([[id, 10_000]]);
      await contexts.commands.execute(new UnpublishDocument(teacher, id));
    });

    it('and one’s own are one ranking, with what is nearly the same after the others', async () => {
      const ben = await contexts.newLearner();
      const near = vector(...Array.from({ length: 200 }, (_, at) => (at % 2 ? 0.5 : 1)));
      const own = await add(ben, 'A numbat, of mine.', near);
      const copy = await publish(teacher, 'A numbat, of mine!', near, { title: 'Numbat' });
      const other = await publish(teacher, 'Numbats eat termites.', vector(0, 1, 1));
      const wanted = { text: 'numbat', vector: near, k: 3 };
      const all = await search({ ...wanted, scope: 'all' }, ben);
      expect(documentsOf(all).slice(0, 2).sort()).toEqual(
        [other, ...[own, copy].filter((id) => documentsOf(all)[2] !== id)].sort(),
      );
      expect([own, copy]).toContain(documentsOf(all)[2]);
      expect(all.meta.strategy).toMatch(/^(signs|exact)\+shared-signs\+text$/);
      expect(all.items.every(({ passage }) => passage.highlights!.length === 1)).toBe(true);
      const [first, second] = [
        await search({ ...wanted, mode: 'vector', scope: 'all', k: 2 }, ben),
        await search({ ...wanted, scope: 'shared' }, ben),
      ];
      expect(documentsOf(first).sort()).toEqual([own, copy].sort());
      expect(documentsOf(second).sort()).toEqual([copy, other].sort());
      const pages: string[] = [];
      for (let cursor: string | undefined, more = true; more;) {
        const page = await search({ ...wanted, scope: 'all', k: 1, cursor }, ben);
        pages.push(...documentsOf(page));
        [cursor, more] = [page.nextCursor ?? undefined, page.nextCursor !== null];
      }
      expect(pages.toSorted()).toEqual([own, copy, other].sort());
      expect(pages[1]).toBe(other); // not what is nearly the same as that of the first page
      for (const id of [copy, other]) await contexts.commands.execute(new UnpublishDocument(teacher, id));
    });
  });

  describe(`of ${PASSAGES} passages`, () => {
    let questions: number[][];
    let nearest: SharedNearestPassages;
    beforeAll(async () => {
      nearest = contexts.app.get(SharedNearestPassages);
      nearest['counts'].clear(); // there were few a minute ago
      await withClient(contexts.database.adminUrl, async (client) => {
        await client.query('set session_replication_role = replica; select setseed(0.5)');
        await client.query('delete from published_documents; delete from published_passages');
        await client.query(VECTORS);
        const { rows: indexes } = await client.query<{ it: string }>(
          `select pg_get_indexdef('published_passages_nearest'::regclass) as it`,
        );
        await client.query('drop index published_passages_nearest');
        await client.query(PUBLISHED, [teacher.userId]);
        await client.query(PASSAGE, [teacher.userId]);
        await client.query(indexes[0]!.it);
        await client.query('vacuum analyze published_documents');
        await client.query('vacuum analyze published_passages');
        const asked = await client.query<{ question: string }>(
          `select l2_normalize(vector + ${random('nr')} * ${times(0.3)})::text as question
           from vectors where nr % ${PASSAGES / QUESTIONS} = 7`,
        );
        questions = asked.rows.map(({ question }) => JSON.parse(question) as number[]);
      });
    }, 300_000);
    const { few, leastShare } = new SharedNearestPassages(undefined as never);
    const byIndex = () => Object.assign(nearest, { few: 0, leastShare: 0 });
    afterEach(() => Object.assign(nearest, { few, leastShare }));

    const passages = (items: FoundPassage[]) => items.map(({ passage }) => passage.id);
    /** What is nearest, by comparing each: nothing else is asked. */
    const exactly = async (vector: number[], filter: DocumentSearch['filter'], k: number) => {
      const scope = { where: filter && conditionOf(filter), except: [], others: false };
      const { found } = await nearest.findExactly({ actor: ada, vector, spaces: [0], k, scope, show: rankedShared });
      return (JSON.parse(found) as { passageId: string }[]).map(({ passageId }) => passageId);
    };
    /** Which part of what is nearest the search finds. It has to find as many as there are. */
    const recallOf = async (filter: DocumentSearch['filter'], matches: number) => {
      let found = 0;
      for (const question of questions) {
        const { items, meta } = await search({ vector: question, k: 10, filter });
        expect(items).toHaveLength(Math.min(10, matches));
        expect(meta.estimatedMatches).toBe(matches);
        const scores = items.map(({ score }) => score);
        expect(scores).toEqual(scores.toSorted((one, other) => other - one));
        const wanted = await exactly(question, filter, 10);
        found += wanted.filter((id) => passages(items).includes(id)).length;
      }
      return found / (questions.length * Math.min(10, matches));
    };

    it('exactly is as PostgreSQL without any index has it', async () => {
      const [row] = await rows<{ ids: string[] }>(
        `select array(select id::text from published_passages where ordinal > 0
           order by (embedding <=> $1::halfvec) + 0, document_id, id limit 50) as ids`,
        [JSON.stringify(questions[0])],
      );
      expect(await exactly(questions[0]!, undefined, 50)).toEqual(row!.ids);
    });

    it.each(FILTERS)(
      'AI-9 PF-4 of a filter that lets %s through 99 of 100 are found, and nothing is short',
      async (_, filter, matches) => {
        const recall = await recallOf(filter, matches);
        if (matches > 0) expect(recall).toBeGreaterThanOrEqual(0.99);
      },
    );

    it('AI-9 PF-4 of a filter that lets nothing through of what is near 99 of 100 are found, and nothing is short', async () => {
      // The questions are of topic 7, and these of 20 to 23.
      expect(await recallOf({ metadata: { topics: { $in: [10, 11] } } }, 400)).toBeGreaterThanOrEqual(0.99);
    });

    it.each(FILTERS)(
      'PF-4 of a filter that lets %s through the index finds 95 of 100 at least, whatever it takes, and nothing is short',
      async (_, filter, matches) => {
        byIndex();
        const recall = await recallOf(filter, matches);
        if (matches > 0) expect(recall).toBeGreaterThanOrEqual(0.95);
      },
      120_000,
    );

    it('says what it has done, and why', async () => {
      const why = async (filter?: DocumentSearch['filter']) => (await search({ vector: questions[0]!, k: 10, filter })).meta;
      expect(await why()).toMatchObject({ strategy: 'shared-hnsw', why: expect.stringContaining('the index finds') });
      expect(await why(FILTERS[2]![1])).toMatchObject({
        strategy: 'shared-signs',
        why: expect.stringContaining('of 500 shared vectors'),
      });
      byIndex();
      expect(await why(FILTERS[4]![1])).toMatchObject({ strategy: 'shared-signs' }); // it has ended before
    });

    it('all come, in pages without a double', async () => {
      const seen = new Set<string>();
      let cursor: string | undefined;
      for (let page = 0; page < 5; page++) {
        const { items, nextCursor } = await search({ vector: questions[1]!, k: 100, cursor });
        for (const id of passages(items)) seen.add(id);
        cursor = nextCursor ?? undefined;
      }
      expect(seen.size).toBe(500);
    });

    /** The plan of a search, as it was carried out. */
    async function planOf(wanted: DocumentSearch): Promise<string> {
      const database = contexts.app.get(Database);
      const read = jest.spyOn(database, 'read');
      await search(wanted);
      const [actor, text, values, setting] = read.mock.calls.find(([, text]) => text.includes('published_passages'))!;
      const plan = await database.read<{ 'QUERY PLAN': string }>(
        actor,
        `explain (analyze, costs off) ${text}`,
        values,
        setting,
      );
      return plan.map((row) => row['QUERY PLAN']).join('\n');
    }
    const isRun = (plan: string, node: RegExp) => {
      const line = plan.split('\n').find((each) => node.test(each));
      return line === undefined ? 'not planned' : !line.includes('never executed');
    };
    const HNSW = /Index Scan using published_passages_nearest/;
    /** Without the rows: they are ten times as large. */
    const SIGNS = /Index Only Scan using published_passages_signs/;
    const ALL = /(?:Seq Scan on|Scan using published_passages_signs on) published_passages/;
    const GIN = /Bitmap Index Scan on published_documents_metadata/;

    it('AI-9 without a filter the HNSW index is followed', async () => {
      byIndex();
      const plan = await planOf({ vector: questions[0]!, k: 10 });
      expect([plan, isRun(plan, HNSW), isRun(plan, ALL)]).toEqual([plan, true, false]);
    });

    it('AI-10 by metadata that few have, the GIN index finds the documents, and nothing else is looked at', async () => {
      for (const metadata of [{ thousandth: 3 }, { thousandth: { $eq: 3 } }]) {
        const plan = await planOf({ vector: questions[0]!, k: 10, filter: { metadata } });
        expect([plan, isRun(plan, GIN), isRun(plan, HNSW), isRun(plan, SIGNS)]).toEqual([plan, true, false, true]);
      }
    });

    it('AI-10 words are found by their GIN index', async () => {
      const plan = await planOf({ text: 'quokka', mode: 'text', k: 10 });
      expect([plan, isRun(plan, /Bitmap Index Scan on published_passages_lexemes/)]).toEqual([plan, true]);
    });

    it('SEC-2 what others keep for themselves never comes, though it is nearer than all', async () => {
      const owner = await contexts.newLearner();
      const secret = await add(owner, 'Nobody else may see this mitosis.', questions[2]!, { id: randomUUID() });
      for (const scope of ['own', 'shared', 'all'] as const) {
        for (const wanted of [{ vector: questions[2]! }, { text: 'mitosis', mode: 'text' as const }]) {
          expect(documentsOf(await search({ ...wanted, k: 100, scope }))).not.toContain(secret);
          const own = documentsOf(await search({ ...wanted, k: 100, scope }, owner));
          if (scope === 'own' || (scope === 'all' && 'vector' in wanted)) expect(own[0]).toBe(secret);
        }
      }
    });
  });
});
