import { Injectable } from '@nestjs/common';
import { Database, ownerOf, type Learner } from '@studently/platform';
import { LRUCache } from 'lru-cache';
import { EMBEDDING_DIMENSIONS, vectorBytes } from '../../domain/vector';
import { Parameters } from './parameters';
import { isInScope, type PassageScope } from './passage-scope';

export interface NearestSearch {
  actor: Learner;
  vector: readonly number[];
  /** Which vectors it can be compared with: rows of `vector_spaces`. */
  spaces: readonly number[];
  k: number;
  scope: PassageScope;
  /** SQL that makes JSON text of `nearest (passage_id, document_id, distance)`. @param userId names the learner's id in it */
  show: (userId: string) => string;
}

/** The nearest passages, with what it took to find them. */
export interface Nearest {
  /** JSON, as `show` has made it. */
  found: string;
  /** How many vectors were compared exactly; against the others their signs alone spoke. */
  compared: number;
  /** How many there are to be found. Without a filter it may be a minute old. */
  matched: number;
  isExact: boolean;
}

/** How many are compared exactly at once, to learn how near the nearest are, and how many come into question by their signs. */
export interface Reach {
  first: number;
  width: number;
}
/** Where that is not enough, more; and then all. */
export const reachesOf = (k: number): Reach[] =>
  [1, 8].map((times) => times * Math.max(32, 3 * k)).map((first) => ({ first, width: 24 * first }));
/** Where some learner's vectors need more, they need it again. */
const WIDE_FOR_MS = 10 * 60_000;
const COUNTED_FOR_MS = 60_000;
const LEARNERS = 10_000;
/**
 * To plan it takes as long as to search a hundred passages, and for any learner the plan is the same: without compiling (`jit`) and without
 * other processes, which both take longer than the search itself, and which that plan would call for as soon as some learners have a lot.
 */
const PLANNED_ONCE =
  'set local plan_cache_mode = force_generic_plan; set local jit = off; set local max_parallel_workers_per_gather = 0';
/** Whoever has more has the search planned for it, and may have several processes search. */
const MANY = 50_000;
const PLANNED_EACH_TIME = 'set local plan_cache_mode = force_custom_plan; set local jit = off';
/** Standard deviations that are believed possible: beyond is one in a hundred of the very last that is wanted. */
export const DEVIATIONS = 2.33;
const MOST_DEVIATIONS = 6;

/** Of the signs: how many came into question, how many of these might matter, and at which place by their signs the last of the nearest is. */
export interface Candidates {
  candidates: number;
  within: number;
  deepest: number | null;
}

interface Row extends Candidates {
  found: string | null;
  compared: number;
  matched: number | null;
}

/** Of fewer, chance would say what is to be believed of the signs. */
const LEAST_NEAREST = 10;

/**
 * Of two vectors at an angle θ the differing signs are binomial: θ/π is the chance of each dimension (Charikar, Similarity Estimation
 * Techniques from Rounding Algorithms, STOC 2002). So next to none of those that are as near as the k-th best known one has more
 * differing signs than its share, and some standard deviations. That is for directions without a preference. Of models in whose vectors
 * some dimensions outweigh others more signs differ; so many more as of the nearest that are known, and they vary as much as these.
 */
const boundOf = (dimensions: string, deviations: string) => `
  ${dimensions} * max(share) + greatest(0, avg(hamming - ${dimensions} * share))
  + ${deviations} * greatest(stddev_pop(hamming - ${dimensions} * share), sqrt(${dimensions} * max(share) * (1 - max(share))))`;

/** One learner's passages by the likeness of their vectors: by their signs first, or exactly, whichever is cheaper. */
@Injectable()
export class NearestPassages {
  /** Which of the reaches was enough the last time; the one after the last: none. */
  private readonly reaches = new LRUCache<string, number>({ max: LEARNERS, ttl: WIDE_FOR_MS });
  private readonly counts = new LRUCache<string, number>({ max: LEARNERS, ttl: COUNTED_FOR_MS });
  deviations = DEVIATIONS;

  constructor(private readonly database: Database) {}

  /** The k nearest of the scope: exactly min(k, matches) of them, nearly always the same as `findExactly`. @throws DatabaseUnavailable */
  async find(search: NearestSearch): Promise<Nearest> {
    const corpus = corpusOf(search);
    const reaches = reachesOf(search.k);
    for (let at = this.reaches.get(corpus) ?? 0; at < reaches.length; at++) {
      const reach = reaches[at]!;
      if ((this.counts.get(corpus) ?? Infinity) <= 4 * reach.first) break; // to compare them all costs no more
      const row = await this.ask(search, reach);
      if (isEnough(row, reach)) return this.nearest(search, row, false);
      // That one vector is a surprise says little of the next search.
      if (isNarrow(row) || at === reaches.length - 1) this.reaches.set(corpus, at + 1);
    }
    return this.findExactly(search);
  }

  /** The same by comparing every vector, which is right by definition. @throws DatabaseUnavailable */
  async findExactly(search: NearestSearch): Promise<Nearest> {
    return this.nearest(search, await this.ask(search), true);
  }

  /** From now on more come into question. */
  widen(): void {
    this.deviations = Math.min(this.deviations + 1, MOST_DEVIATIONS);
  }

  /** @param reach undefined: all are compared */
  private async ask(search: NearestSearch, reach?: Reach): Promise<Row> {
    const { actor, vector, spaces, k, scope, show } = search;
    const parameters = new Parameters();
    const userId = parameters.add(ownerOf(actor));
    const question = `${parameters.add(vectorBytes(vector))}::vector`;
    const space = `v.user_id = ${userId} and v.space = any(${parameters.add(spaces)}::smallint[])`;
    const vectors = `passage_vectors v where ${space}${isInScope('v', 'passage_id', userId, scope, parameters)}`;
    const most = `${parameters.add(k)}::int`;
    const compared =
      reach === undefined
        ? exactly(vectors, question)
        : bySigns({
            ...{
              vectors,
              fields: 'v.passage_id, v.document_id, v.embedding',
              ids: 'passage_id, document_id',
              embedding: 'embedding',
            },
            ...{ question, most },
            first: parameters.add(reach.first),
            width: parameters.add(reach.width),
            dimensions: `${parameters.add(dimensionsOf(vector))}::float8`,
            deviations: `${parameters.add(this.deviations)}::float8`,
          });
    const count = this.counts.get(corpusOf(search));
    const isCounted = !isWhole(scope) || count === undefined;
    const [row] = await this.database.query<Row & object>(
      actor,
      `with ${compared}, nearest as materialized (
         select passage_id, document_id, distance from compared order by distance, document_id, passage_id limit ${most}
       )
       select (select count(*) from compared)::int as compared,
         ${candidatesOf(most)},
         ${isCounted ? `(select count(*) from ${vectors})::int` : 'null::int'} as matched, (${show(userId)}) as found`,
      parameters.values,
      (count ?? 0) > MANY ? PLANNED_EACH_TIME : PLANNED_ONCE,
    );
    return row!;
  }

  private nearest(search: NearestSearch, { found, compared, matched }: Row, isExact: boolean): Nearest {
    const corpus = corpusOf(search);
    if (matched !== null && isWhole(search.scope)) this.counts.set(corpus, matched);
    return { found: found ?? '[]', compared, matched: matched ?? this.counts.get(corpus) ?? compared, isExact };
  }
}

/** Those of a vector that are not zero: the others' signs say nothing. */
export function dimensionsOf(vector: readonly number[]): number {
  let count = 0;
  for (const element of vector) if (element !== 0) count++;
  return count;
}

const corpusOf = ({ actor, spaces }: NearestSearch) => `${ownerOf(actor)} ${spaces.join()}`;
const isWhole = ({ where, except }: PassageScope) => !where && except.length === 0;

/** There are fewer candidates than twice as many as might matter. */
const isNarrow = ({ candidates, within }: Candidates) => candidates < 2 * within;

/**
 * Whether all have been compared; or twice as many as might matter, without finding one of the nearest among those that should not. If the
 * signs told nothing, in the second half would be as many as in the first: of ten none in one of a thousand cases.
 */
export function isEnough(row: Candidates, { width }: Reach): boolean {
  if (isNarrow(row)) return row.candidates < width;
  return (row.deepest ?? 0) <= row.within;
}

/** What a search by signs is made of, as SQL; what has no other comment is a parameter. */
interface BySigns {
  /** Rows `v` with `signs` */
  vectors: string;
  /** What is taken of them. */
  fields: string;
  /** What tells a passage, of these fields. */
  ids: string;
  /** Of a candidate. */
  embedding: string;
  question: string;
  most: string;
  first: string;
  width: string;
  dimensions: string;
  deviations: string;
}

/** Those whose signs differ least; of them the first are compared exactly, then twice as many as may still be nearer. @returns CTEs */
export function bySigns(parts: BySigns): string {
  const { vectors, fields, ids, embedding, question, most, first, width, dimensions, deviations } = parts;
  // The sub-select is evaluated once, not for each row.
  const hamming = `v.signs <~> (select binary_quantize(${question})::bit(${EMBEDDING_DIMENSIONS}))`;
  return `
    candidates as materialized (
      select *, row_number() over (order by hamming) as place from (
        select ${fields}, ${hamming} as hamming from ${vectors} order by hamming limit ${width}
      ) candidate
    ), first as materialized (
      select ${ids}, place, hamming, ${embedding} <=> ${question} as distance from candidates where place <= ${first}
    ), bound as materialized (
      select ${boundOf(dimensions, deviations)} as hamming from (
        select hamming, acos(greatest(-1, least(1, 1 - distance))) / pi() as share
        from first order by distance limit ${leastOf(most)}
      ) nearest
    ), reach as materialized (
      select greatest(${first}, count(*) filter (where hamming <= (select hamming from bound)))::int as within from candidates
    ), compared as materialized (
      select ${ids}, place, distance from first
      union all
      select ${ids}, place, ${embedding} <=> ${question} from candidates
      where place > ${first} and place <= 2 * (select within from reach)
    )`;
}

const leastOf = (most: string) => `greatest(${most}, ${LEAST_NEAREST})`;

/** SQL that shows them as Candidates. @param most as for `bySigns` */
export const candidatesOf = (most: string) => `
  (select count(*) from candidates)::int as candidates, (select within from reach) as within,
  (select max(place) from (select place from compared order by distance limit ${leastOf(most)}) nearest)::int as deepest`;

/** SQL of the same names where the signs are not looked at. */
export const WITHOUT_SIGNS = `candidates as (select where false), reach as (select 0 as within)`;

const exactly = (vectors: string, question: string) => `
  ${WITHOUT_SIGNS}, compared as materialized (
    select v.passage_id, v.document_id, 0 as place, v.embedding <=> ${question} as distance from ${vectors}
  )`;
