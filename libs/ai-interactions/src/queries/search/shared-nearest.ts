import { Injectable } from '@nestjs/common';
import { Database, type Learner } from '@studently/platform';
import { LRUCache } from 'lru-cache';
import { EMBEDDING_DIMENSIONS, vectorBytes } from '../../domain/vector';
import {
  bySigns,
  candidatesOf,
  DEVIATIONS,
  dimensionsOf,
  isEnough,
  reachesOf,
  WITHOUT_SIGNS,
  type Candidates,
  type NearestSearch,
  type Reach,
} from './nearest-passages';
import { Parameters } from './parameters';
import { holdsFor } from './passage-scope';
import { sharedPassage } from './shared-found';
import { isOthers, type SharedScope } from './shared-scope';

export interface SharedNearestSearch extends Pick<NearestSearch, 'vector' | 'spaces' | 'k'> {
  actor: Learner;
  scope: SharedScope;
  /** SQL that makes JSON text of `nearest (user_id, passage_id, document_id, distance)`. */
  show: string;
}

/** The nearest published passages, with what it took to find them. */
export interface SharedNearest {
  /** JSON, as `show` has made it. */
  found: string;
  /** How many there are to be found. Without a filter it may be a minute old. */
  matched: number;
  /** The HNSW index has found them; or the signs of all were compared, and exactly those that could be the nearest; or all, exactly. */
  way: 'index' | 'signs' | 'each';
}

/** To compare the signs of so many takes as long as the index does (npm run bench -- shared-search). */
const FEW = 4000;
/** The index is followed from the nearest of all: where a filter leaves these out, what it finds is not the nearest of the others. */
const LEAST_SHARE = 0.5;
/** So many passages the index keeps in view at least, and for each that is wanted (hnsw.ef_search). */
const WIDTH = 400;
const WIDTH_FOR_EACH = 2;
const WIDEST = 1000;
const COUNTED_FOR_MS = 60_000;

/** SQL that shows `nearest`, best first. */
export const shownShared = `
  select json_agg(${sharedPassage('1 - distance')} order by distance, p.document_id, p.id)::text
  from nearest
  join published_passages p on p.user_id = nearest.user_id and p.id = nearest.passage_id
  join published_documents d on d.user_id = p.user_id and d.id = p.document_id`;

/** SQL that shows `nearest` as a ranking, JSON. */
export const rankedShared = `
  select json_agg(json_build_object('passageId', passage_id, 'documentId', document_id, 'publishedBy', user_id,
    'score', 1 - distance, 'rank', rank) order by rank, document_id, passage_id)::text
  from (select *, rank() over (order by distance) as rank from nearest) ranked`;

/** A row of the statement. */
interface Row extends Candidates {
  found: string | null;
  matched: number;
  byIndex: boolean;
}

/**
 * The published passages by the likeness of their vectors. Of few, or where a filter lets through less than half, the signs are
 * compared first, as of one's own; of many the index is followed. If it ends before it has enough, the signs are compared as well.
 */
@Injectable()
export class SharedNearestPassages {
  private readonly counts = new LRUCache<string, number>({ max: 100, ttl: COUNTED_FOR_MS });
  /** Of more than so many, and at least this share of all, the index is asked. */
  few = FEW;
  leastShare = LEAST_SHARE;

  constructor(private readonly database: Database) {}

  /** The k nearest of the scope: exactly min(k, matches) of them. @throws DatabaseUnavailable */
  async find(search: SharedNearestSearch): Promise<SharedNearest> {
    for (const reach of reachesOf(search.k)) {
      const row = await this.ask(search, reach);
      if (row.byIndex || isEnough(row, reach)) return nearestOf(row, row.byIndex ? 'index' : 'signs');
    }
    return this.findExactly(search);
  }

  /** The same by comparing every vector, which is right by definition. @throws DatabaseUnavailable */
  async findExactly(search: SharedNearestSearch): Promise<SharedNearest> {
    return nearestOf(await this.ask(search), 'each');
  }

  /** @param reach where the index is not asked; undefined: each is compared */
  private async ask(search: SharedNearestSearch, reach?: Reach): Promise<Row> {
    const { actor, vector, spaces, k, scope, show } = search;
    const parameters = new Parameters();
    const question = `(select l2_normalize(${parameters.add(vectorBytes(vector))}::vector)::halfvec(${EMBEDDING_DIMENSIONS}))`;
    const inSpace = `space = any(${parameters.add(spaces)}::smallint[])`;
    const most = `${parameters.add(k)}::int`;
    const counted = isWhole(scope) ? this.counts.get(spaces.join()) : undefined;
    const matched =
      counted === undefined ? '(select coalesce(sum(vectors), 0) from matching)' : `${parameters.add(counted)}::bigint`;
    const others = isOthers(scope, actor, parameters);
    const except = scope.except.length > 0 ? ` and v.id <> all(${parameters.add(scope.except)}::uuid[])` : '';
    const isMatching = '(v.user_id, v.document_id) in (select user_id, id from matching)';
    const passages = `published_passages v where v.${inSpace}${others('v')}${except}`;
    // "is true" keeps it a look into a table of documents that is made once; as a join it could lose the order of the index.
    const ofIndex = `${passages}${scope.where ? ` and ${isMatching} is true` : ''}`;
    const ofOthers = `${passages}${scope.where ? ` and ${isMatching}` : ''} and (select count(*) from by_index) < ${most}`;
    const compared =
      reach === undefined
        ? exactly(ofOthers, question)
        : bySigns({
            ...{ vectors: ofOthers, fields: 'v.user_id, v.id as passage_id, v.document_id', ids: IDS, embedding: EMBEDDING },
            ...{ question, most, first: parameters.add(reach.first), width: parameters.add(reach.width) },
            dimensions: `${parameters.add(dimensionsOf(vector))}::float8`,
            deviations: `${parameters.add(DEVIATIONS)}::float8`,
          });
    const [few, leastShare] = reach === undefined ? [Infinity, 1] : [this.few, this.leastShare];
    const [row] = await this.database.query<Row & object>(
      actor,
      `with matching as materialized (
         select d.user_id, d.id, d.vectors from published_documents d
         where d.${inSpace}${others('d')}${scope.where ? holdsFor(scope.where, parameters) : ''}
       ), choice as materialized (
         select matched, matched > ${parameters.add(few)}::float8 and matched >= size * ${parameters.add(leastShare)}::float8 as by_index
         from (select ${matched}::float8 as matched) counted,
           (select reltuples::float8 as size from pg_class where oid = 'published_passages'::regclass) estimated
       ), by_index as materialized (
         select v.user_id, v.id as passage_id, v.document_id, v.embedding <=> ${question} as distance from ${ofIndex}
         and (select by_index from choice) order by v.embedding <=> ${question} limit ${most}
       ), ${compared}, nearest as materialized (
         select ${IDS}, distance from (
           select ${IDS}, distance from compared union all select ${IDS}, distance from by_index where (select count(*) from by_index) = ${most}
         ) found order by distance, document_id, passage_id limit ${most}
       )
       select matched::int, (select count(*) from by_index) = ${most} as "byIndex", ${candidatesOf(most)}, (${show}) as found from choice`,
      parameters.values,
      bySettings(Math.min(WIDEST, Math.max(WIDTH, WIDTH_FOR_EACH * k))),
    );
    if (isWhole(scope) && counted === undefined) this.counts.set(spaces.join(), row!.matched);
    return row!;
  }
}

const nearestOf = ({ found, matched }: Row, way: SharedNearest['way']): SharedNearest => ({
  found: found ?? '[]',
  matched,
  way,
});

const IDS = 'user_id, passage_id, document_id';
/** Of a candidate; the signs are in an index without it. */
const EMBEDDING =
  '(select p.embedding from published_passages p where p.user_id = candidates.user_id and p.id = candidates.passage_id)';

const exactly = (vectors: string, question: string) => `
  ${WITHOUT_SIGNS}, compared as materialized (
    select v.user_id, v.id as passage_id, v.document_id, 0 as place, v.embedding <=> ${question} as distance from ${vectors}
  )`;

/** Everything that is published. */
const isWhole = ({ where, others }: SharedScope) => !where && !others;

/**
 * The index is followed in the order of distance until enough have come; whether it is worth it this module decides, not the planner,
 * which does not know what a vector costs that lies beside its row.
 */
const bySettings = (width: number): string =>
  [`hnsw.iterative_scan = strict_order`, `hnsw.ef_search = ${width}`, 'enable_sort = off', 'jit = off']
    .map((setting) => `set local ${setting}`)
    .join('; ');
