import { setImmediate } from 'node:timers/promises';
import { Database, type Learner } from '@studently/platform';
import type { Gauge } from 'prom-client';
import {
  DEVIATIONS,
  NearestPassages,
  type NearestSearch,
} from '../../libs/ai-interactions/src/queries/search/nearest-passages';
import { rankedNearest, type RankedPassage } from '../../libs/ai-interactions/src/queries/search/ranking';
import { RecallMonitor, recallOf } from '../../libs/ai-interactions/src/queries/search/recall-monitor';
import { SUPPLIED_SPACE } from '../../libs/ai-interactions/src/queries/search/vector-spaces';
import { TestContexts } from '../support/contexts';
import { until } from '../e2e/support';
import { sql } from '../support/database';

const PASSAGES = 2000;
const QUESTIONS = 20;
const K = 10;

/** What makes the dimensions after the first 512 zeros. */
const PADDING = `(array_fill(1::real, array[512]) || array_fill(0::real, array[1024]))::vector`;

/** A direction that looks random and is the same in every run. */
const direction = (seed: string, length = 1) => `
  (select l2_normalize(array_agg(sin(hashint4extended(element, (${seed})::bigint)::float8))::vector)
     * array_fill(${length}::real, array[1536])::vector
   from generate_series(1, 1536) element)`;

const OUTWEIGHING = `(array_fill(0::real, array[7]) || 1.5::real || array_fill(0::real, array[1528]))::vector`;
const EIGHT = `(array_fill(40::real, array[8]) || array_fill(1::real, array[1528]))::vector`;
/** Sixty words, of which the first are the most frequent. */
const WORDS = (seed: string) => `
  (select l2_normalize(array_agg(coalesce(count, 0) order by element)::real[]::vector)
   from generate_series(0, 1535) element left join (
     select floor(1536 * power((hashint4extended(word, (${seed})::bigint) & 65535) / 65536.0, 3)) as element, count(*) as count
     from generate_series(1, 60) word group by 1) counted using (element))`;

/** SQL of the vector of the passage with the number `nr`, and of a question with that number. */
const SETS: Record<string, { passage: string; question: string }> = {
  'in clusters, as texts are': {
    passage: `l2_normalize(${direction('nr % 20')} + ${direction('1000 + nr', 0.65)})`,
    question: `l2_normalize(${direction('nr % 20')} + ${direction('500000 + nr', 0.65)})`,
  },
  'isotropic noise: all are as far from each other': {
    passage: direction('1000 + nr'),
    question: direction('500000 + nr'),
  },
  'near-duplicates of a few texts': {
    passage: `l2_normalize(${direction('nr % 4')} + ${direction('1000 + nr', 0.01)})`,
    question: `l2_normalize(${direction('nr % 4')} + ${direction('500000 + nr', 0.01)})`,
  },
  'one cluster, and questions from far outside': {
    passage: `l2_normalize(${direction('1')} + ${direction('1000 + nr', 0.3)})`,
    question: direction('500000 + nr'),
  },
  'a dimension outweighs all others, and is the same in all': {
    passage: `l2_normalize(${direction('nr % 20')} + ${direction('1000 + nr', 0.65)} + ${OUTWEIGHING})`,
    question: `l2_normalize(${direction('nr % 20')} + ${direction('500000 + nr', 0.65)} + ${OUTWEIGHING})`,
  },
  'eight dimensions outweigh all others': {
    passage: `l2_normalize(${direction('1000 + nr')} * ${EIGHT})`,
    question: `l2_normalize(${direction('500000 + nr')} * ${EIGHT})`,
  },
  'sparse, as counts of words are': { passage: WORDS('1000 + nr'), question: WORDS('500000 + nr') },
  'of a model with fewer dimensions, the rest zeros': {
    passage: `l2_normalize(${direction('nr % 20')} + ${direction('1000 + nr', 0.65)}) * ${PADDING}`,
    question: `l2_normalize(${direction('nr % 20')} + ${direction('500000 + nr', 0.65)}) * ${PADDING}`,
  },
};

const PASSAGES_OF = (passage: string) => `
  with document as (
    insert into documents (user_id, type, content) values ($1, 'text', 'x') returning id
  ), passages as (
    insert into document_passages (user_id, document_id, ordinal, content, starts_at)
    select $1, document.id, nr, 'x', 0 from document, generate_series(1, ${PASSAGES}) nr returning id, document_id, ordinal
  )
  insert into passage_vectors (user_id, passage_id, document_id, space, embedding)
  select $1, id, document_id, ${SUPPLIED_SPACE}, ${passage} from passages, lateral (select ordinal as nr) numbered`;

const idsOf = ({ found }: { found: string }) => (JSON.parse(found) as RankedPassage[]).map(({ passageId }) => passageId);

/** Misses the nearest. */
class TooSure extends NearestPassages {
  override async find(search: NearestSearch) {
    const [nearest] = idsOf(await super.findExactly(search));
    return super.find({ ...search, scope: { except: [nearest!] } });
  }
}

describe('Recall', () => {
  let contexts: TestContexts;
  beforeAll(async () => {
    contexts = await TestContexts.start();
  });
  afterAll(() => contexts?.stop());

  const rows = <Row extends object>(text: string, values: unknown[] = []) => sql<Row>(contexts.database.adminUrl, text, values);

  async function learnerWith(passage: string): Promise<Learner> {
    const learner = await contexts.newLearner();
    await rows(PASSAGES_OF(passage), [learner.userId]);
    return learner;
  }
  async function searchesOf(actor: Learner, question: string): Promise<NearestSearch[]> {
    const questions = await rows<{ vector: string }>(
      `select (${question})::vector::text as vector from generate_series(1, ${QUESTIONS}) nr`,
    );
    return questions.map(({ vector }) => ({
      actor,
      vector: JSON.parse(vector) as number[],
      spaces: [SUPPLIED_SPACE],
      k: K,
      scope: { except: [] },
      show: rankedNearest,
    }));
  }
  it.each(Object.entries(SETS))(
    'TP-6 AI-9 of the ten nearest 99 of 100 are found, and always ten: %s',
    async (_, { passage, question }) => {
      const passages = contexts.app.get(NearestPassages);
      const searches = await searchesOf(await learnerWith(passage), question);
      let hits = 0;
      for (const search of searches) {
        const [found, right] = [idsOf(await passages.find(search)), idsOf(await passages.findExactly(search))];
        expect(found).toHaveLength(K);
        hits += right.filter((id) => found.includes(id)).length;
      }
      expect(hits / (K * searches.length)).toBeGreaterThanOrEqual(0.99);
    },
  );

  it('where the signs tell them apart, few are compared exactly', async () => {
    const { passage, question } = SETS['in clusters, as texts are']!;
    const [search] = await searchesOf(await learnerWith(passage), question);
    const { isExact, compared, matched } = await contexts.app.get(NearestPassages).find(search!);
    expect({ isExact, matched }).toEqual({ isExact: false, matched: PASSAGES });
    expect(compared).toBeLessThan(PASSAGES / 8);
  });

  it('where they tell nothing, most are', async () => {
    const { passage, question } = SETS['isotropic noise: all are as far from each other']!;
    const searches = await searchesOf(await learnerWith(passage), question);
    const passages = contexts.app.get(NearestPassages);
    for (const search of searches.slice(0, 2)) {
      expect((await passages.find(search)).compared).toBeGreaterThan(PASSAGES / 2);
    }
  });

  it('a drop is measured, and from then on more come into question', async () => {
    const passages = new TooSure(contexts.app.get(Database));
    const [recall, bound] = [{ set: jest.fn() }, { set: jest.fn() }];
    const monitor = new RecallMonitor(passages, recall as unknown as Gauge, bound as unknown as Gauge);
    const { passage, question } = SETS['isotropic noise: all are as far from each other']!;
    const searches = await searchesOf(await learnerWith(passage), question);
    for (const search of searches) await monitor.check(search);
    const [measured, atLeast] = [recall.set.mock.lastCall![0], bound.set.mock.lastCall![0]];
    expect(measured).toBeLessThan(0.99);
    expect(atLeast).toBeLessThan(measured);
    expect(atLeast).toBeGreaterThan(measured - 0.1);
    expect(passages.deviations).toBe(DEVIATIONS + 1);
  });

  it('looks at one search at a time, and rests after it', async () => {
    const { passage, question } = SETS['in clusters, as texts are']!;
    const [search] = await searchesOf(await learnerWith(passage), question);
    const gauge = { set: jest.fn() } as unknown as Gauge;
    const monitor = new RecallMonitor(contexts.app.get(NearestPassages), gauge, gauge);
    const looks = jest.spyOn(monitor, 'check');
    jest.spyOn(Math, 'random').mockReturnValue(0); // as often as it may
    try {
      monitor.consider(search!);
      monitor.consider(search!);
      await looks.mock.results[0]!.value;
      await setImmediate(); // it has noted when it was done
      monitor.consider(search!);
      expect(looks).toHaveBeenCalledTimes(1);
      jest.spyOn(performance, 'now').mockReturnValue(performance.now() + 3_600_000);
      monitor.consider(search!);
      expect(looks).toHaveBeenCalledTimes(2);
    } finally {
      jest.restoreAllMocks();
      await monitor.beforeApplicationShutdown();
    }
  });

  it('is told with the lower end of its interval', () => {
    const tenOfTen = Array.from({ length: 50 }, () => ({ wanted: 10, found: 10 }));
    expect(recallOf(tenOfTen)).toEqual({ mean: 1, lower: expect.closeTo(0.9946, 4) });
    expect(recallOf([{ wanted: 10, found: 9 }]).mean).toBe(0.9);
  });

  it('is not compiled, however much the planner believes it to cost: that would take longer than to search', async () => {
    const { passage, question } = SETS['in clusters, as texts are']!;
    const [search] = await searchesOf(await learnerWith(passage), question);
    const database = new URL(contexts.database.adminUrl).pathname.slice(1);
    await rows('create extension if not exists pg_stat_statements');
    await rows(`alter database ${database} set jit_above_cost = 0`);
    await rows(
      'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
    );
    const passages = contexts.app.get(NearestPassages);
    await until(async () => passages.find(search!).catch(() => undefined)); // connections have to be made anew
    await passages.findExactly(search!);
    const compiled = await rows<{ searches: string; functions: string }>(
      `select sum(calls) as searches, sum(jit_functions) as functions from pg_stat_statements
       where dbid = (select oid from pg_database where datname = current_database()) and query like '%nearest as materialized%'`,
    );
    expect(Number(compiled[0]!.searches)).toBeGreaterThanOrEqual(2);
    expect(Number(compiled[0]!.functions)).toBe(0);
  });
});
