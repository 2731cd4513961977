import { Injectable } from '@nestjs/common';
import { Database, type Learner } from '@studently/platform';
import { LRUCache } from 'lru-cache';
import { EMBEDDING_DIMENSIONS, vectorBytes } from '../../domain/vector';
import type { NearestSearch } from './nearest-passages';
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
  /** Whether the index has found them; otherwise each was compared. */
  isByIndex: boolean;
  /** Whether the index was asked, and ended before it had enough. */
  isShort: boolean;
}

/** What it takes to reach one more passage in the index, in passages that are compared without it (docs/adr/0030). */
const REACHED = 4;
/** So many passages the index keeps in view at least, and for each that is wanted (hnsw.ef_search). */
const WIDTH = 100;
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

/**
 * The published passages by the likeness of their vectors. Where a filter lets few through each of those is compared; where there are
 * many the index is followed until enough have come that the filter lets through. If it ends before, each is compared as well.
 */
@Injectable()
export class SharedNearestPassages {
  private readonly counts = new LRUCache<string, number>({ max: 100, ttl: COUNTED_FOR_MS });
  /** Below it the index is asked more often: 0 is always. */
  reached = REACHED;

  constructor(private readonly database: Database) {}

  /** The k nearest of the scope: exactly min(k, matches) of them. @throws DatabaseUnavailable */
  async find(search: SharedNearestSearch): Promise<SharedNearest> {
    const { actor, vector, spaces, k, scope, show } = search;
    const parameters = new Parameters();
    const question = `(select l2_normalize(${parameters.add(vectorBytes(vector))}::vector)::halfvec(${EMBEDDING_DIMENSIONS}))`;
    const inSpace = `space = any(${parameters.add(spaces)}::smallint[])`;
    const most = `${parameters.add(k)}::int`;
    const width = Math.min(WIDEST, Math.max(WIDTH, WIDTH_FOR_EACH * k));
    const counted = isWhole(scope) ? this.counts.get(spaces.join()) : undefined;
    const matched =
      counted === undefined ? '(select coalesce(sum(vectors), 0) from matching)' : `${parameters.add(counted)}::bigint`;
    const others = isOthers(scope, actor, parameters);
    const except = scope.except.length > 0 ? ` and p.id <> all(${parameters.add(scope.except)}::uuid[])` : '';
    const passages = `p.${inSpace}${others('p')}${except}`;
    // "is true" keeps it a look into a table of documents that is made once; as a join it could lose the order of the index.
    const ofMatching = scope.where ? ` and ((p.user_id, p.document_id) in (select user_id, id from matching)) is true` : '';
    const joined = scope.where ? 'join matching m on m.user_id = p.user_id and m.id = p.document_id' : '';
    const [row] = await this.database.read<Omit<SharedNearest, 'found'> & { found: string | null }>(
      actor,
      `with matching as materialized (
         select d.user_id, d.id, d.vectors from published_documents d
         where d.${inSpace}${others('d')}${scope.where ? holdsFor(scope.where, parameters) : ''}
       ), choice as materialized (
         select matched, coalesce(matched > ${parameters.add(this.reached)}::float8 * greatest(${width}, ${most} * greatest(size, matched) / nullif(matched, 0)), false)
           as by_index
         from (select ${matched}::float8 as matched) counted,
           (select reltuples::float8 as size from pg_class where oid = 'published_passages'::regclass) estimated
       ), by_index as materialized (
         select p.user_id, p.id, p.document_id, p.embedding <=> ${question} as distance from published_passages p
         where (select by_index from choice) and ${passages}${ofMatching}
         order by p.embedding <=> ${question} limit ${most}
       ), each as materialized (
         select p.user_id, p.id, p.document_id, p.embedding <=> ${question} as distance from published_passages p ${joined}
         where (select count(*) from by_index) < ${most} and ${passages}
       ), nearest as materialized (
         select user_id, id as passage_id, document_id, distance from (
           select * from each union all select * from by_index where (select count(*) from by_index) = ${most}
         ) found order by distance, document_id, id limit ${most}
       )
       select matched::int, by_index and reached = ${most} as "isByIndex", by_index and reached < ${most} as "isShort",
         coalesce((${show}), '[]') as found
       from choice, (select count(*) as reached from by_index) index`,
      parameters.values,
      bySettings(width),
    );
    if (isWhole(scope) && counted === undefined) this.counts.set(spaces.join(), row!.matched);
    return { ...row!, found: row!.found ?? '[]' };
  }
}

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
