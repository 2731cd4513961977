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

/** So many are compared exactly at once, or so many for each that is wanted, to learn how near the nearest are. */
export const firstOf = (k: number) => Math.max(32, 3 * k);
/** So many times as many come into question by their signs; where that is not enough, more; and then all. */
export const WIDTHS = [6, 60];
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

/** Of the signs: how many came into question, the most that differ among them, and the most that might matter. */
export interface Candidates {
  candidates: number;
  furthest: number | null;
  bound: number | null;
}

interface Row extends Candidates {
  found: string | null;
  compared: number;
  matched: number | null;
}

/**
 * Of two vectors at an angle θ the differing signs are binomial: θ/π is the chance of each dimension (Charikar, Similarity Estimation
 * Techniques from Rounding Algorithms, STOC 2002). So next to none of those that are as near as the k-th best known one has more
 * differing signs than its share, and some standard deviations.
 */
const boundOf = (distance: string, dimensions: string, deviations: string) => `(
  select ${dimensions} * share + ${deviations} * sqrt(${dimensions} * share * (1 - share))
  from (select acos(greatest(-1, least(1, 1 - ${distance}))) / pi() as share) angle)`;

/** One learner's passages by the likeness of their vectors: by their signs first, or exactly, whichever is cheaper. */
@Injectable()
export class NearestPassages {
  /** Which of the widths was enough the last time; the one after the last: none. */
  private readonly widths = new LRUCache<string, number>({ max: LEARNERS, ttl: WIDE_FOR_MS });
  private readonly counts = new LRUCache<string, number>({ max: LEARNERS, ttl: COUNTED_FOR_MS });
  deviations = DEVIATIONS;

  constructor(private readonly database: Database) {}

  /** The k nearest of the scope: exactly min(k, matches) of them, nearly always the same as `findExactly`. @throws DatabaseUnavailable */
  async find(search: NearestSearch): Promise<Nearest> {
    const corpus = corpusOf(search);
    const first = firstOf(search.k);
    for (let at = this.widths.get(corpus) ?? 0; at < WIDTHS.length; at++) {
      const width = first * WIDTHS[at]!;
      if ((this.counts.get(corpus) ?? Infinity) <= Math.max(first, width / 4)) break; // to compare them all costs no more
      const row = await this.ask(search, { first, width });
      if (isEnough(row, width)) return this.nearest(search, row, false);
      this.widths.set(corpus, at + 1);
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

  /** @param signs how many come into question by their signs, and how many of these are compared exactly at once; undefined: all */
  private async ask(search: NearestSearch, signs?: { first: number; width: number }): Promise<Row> {
    const { actor, vector, spaces, k, scope, show } = search;
    const parameters = new Parameters();
    const userId = parameters.add(ownerOf(actor));
    const question = `${parameters.add(vectorBytes(vector))}::vector`;
    const space = `v.user_id = ${userId} and v.space = any(${parameters.add(spaces)}::smallint[])`;
    const vectors = `passage_vectors v where ${space}${isInScope('v', 'passage_id', userId, scope, parameters)}`;
    const most = `${parameters.add(k)}::int`;
    const compared =
      signs === undefined
        ? exactly(vectors, question)
        : bySigns({
            ...{
              vectors,
              fields: 'v.passage_id, v.document_id, v.embedding',
              ids: 'passage_id, document_id',
              embedding: 'embedding',
            },
            ...{ question, most },
            first: parameters.add(signs.first),
            width: parameters.add(signs.width),
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
         ${CANDIDATES},
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

/** Whether what did not come into question differs in more signs than what is near enough. */
export const isEnough = ({ candidates, furthest, bound }: Candidates, width: number) =>
  candidates < width || bound === null || furthest! > bound;

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

/** Those whose signs differ least; of them the first are compared exactly, then those that may still be nearer. @returns CTEs */
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
      select ${ids}, ${embedding} <=> ${question} as distance from candidates where place <= ${first}
    ), bound as materialized (
      select ${boundOf('distance', dimensions, deviations)} as hamming
      from (select distance from first order by distance offset ${most} - 1 limit 1) worst
    ), compared as materialized (
      select * from first
      union all
      select ${ids}, ${embedding} <=> ${question} from candidates
      where place > ${first} and hamming <= (select hamming from bound)
    )`;
}

/** SQL that shows them as Candidates. */
export const CANDIDATES = `
  (select count(*) from candidates)::int as candidates, (select max(hamming) from candidates) as furthest,
  (select hamming from bound) as bound`;

const exactly = (vectors: string, question: string) => `
  candidates as (select null::float8 as hamming where false), bound as (select null::float8 as hamming),
  compared as materialized (select v.passage_id, v.document_id, v.embedding <=> ${question} as distance from ${vectors})`;
