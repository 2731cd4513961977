import { Injectable } from '@nestjs/common';
import { Database, LearnerKeys, openSealedJson, ownerOf, type Learner } from '@studently/platform';
import type { Highlight } from './highlights';
import { dimensionsOf, type NearestSearch } from './nearest-passages';
import type { Fused } from './ranking';

export interface FoundPassage {
  document: {
    id: string;
    type: string;
    title: string | null;
    metadata: Record<string, unknown>;
    /** The user whose it is; undefined: one's own. */
    publishedBy?: string;
  };
  /**
   * Of the document, `slice(startsAt, endsAt)` is the text, which ends after 10,000 characters: only a passage with a supplied
   * embedding has more. `headings` are those that it stands under, outermost first; `highlights` are where a text's words are in it.
   */
  passage: {
    id: string;
    ordinal: number;
    text: string;
    startsAt: number;
    endsAt: number;
    headings: string[];
    highlights?: Highlight[];
  };
  /** vector: cosine similarity; otherwise: the sum of reciprocal ranks. Of one search, higher is better. */
  score: number;
}

const TEXT = `sealed_json('document_passages.content', p.user_id, p.id, left(p.content, 10000), p.content_sealed)`;
/** SQL of a found passage `p` of a document `d`, as JSON with sealed text. */
export const foundPassage = (score: string) => `json_build_object(
  'document', json_build_object('id', d.id, 'type', d.type, 'title', d.title, 'metadata', d.metadata),
  'passage', json_build_object('id', p.id, 'ordinal', p.ordinal, 'text', ${TEXT},
    'startsAt', p.starts_at, 'endsAt', p.ends_at,
    'headings', sealed_json('document_passages.context', p.user_id, p.id, null, p.context_sealed)),
  'score', ${score})`;

/** SQL that shows `nearest (passage_id, document_id, distance)`, best first. */
export const shownNearest = (userId: string) => `
  select json_agg(${foundPassage('1 - distance')} order by distance, p.document_id, passage_id)::text
  from nearest
  join document_passages p on p.user_id = ${userId} and p.id = passage_id
  join documents d on d.user_id = ${userId} and d.id = p.document_id`;

/** Two vectors are of the same text, nearly, where so small a part of their signs differs: a cosine above 0.995. */
export const SAME = 0.03;

/** Those that are like a better one, or like one of an earlier page, come after all others. */
const SHOW = `
  with earlier as (
    select signs from passage_vectors where user_id = $1 and passage_id = any($7::uuid[]) and space = any($4::smallint[])
  ), given as (
    select given.id, score, nr, v.signs from unnest($2::uuid[], $3::float8[]) with ordinality given (id, score, nr)
    join document_passages p on p.user_id = $1 and p.id = given.id -- which has not gone since it was ranked
    left join passage_vectors v on v.user_id = $1 and v.passage_id = given.id and v.space = any($4::smallint[])
  ), shown as (
    select id, score, nr, exists (
        select from given better where better.nr < given.nr and better.signs <~> given.signs <= $5::float8
        union all
        select from earlier where earlier.signs <~> given.signs <= $5::float8
      ) as is_copy
    from given order by is_copy, nr limit $6
  )
  select coalesce(json_agg(${foundPassage('shown.score')} order by is_copy, nr), '[]')::text as items
  from shown
  join document_passages p on p.user_id = $1 and p.id = shown.id
  join documents d on d.user_id = $1 and d.id = p.document_id`;

/** Which of the best are shown. */
export interface Showing {
  k: number;
  /** That of the question: the signs of vectors of its spaces tell what is the same; undefined: nothing is. */
  meaning?: Pick<NearestSearch, 'vector' | 'spaces'>;
  /** Passages of earlier pages. */
  before?: readonly string[];
}

/** As its row has it: headings one a line, and no end in older rows. */
type StoredPassage = Omit<FoundPassage, 'passage'> & {
  passage: Omit<FoundPassage['passage'], 'endsAt' | 'headings'> & { endsAt: number | null; headings: string | null };
};

function asShown({ endsAt, headings, ...passage }: StoredPassage['passage']): FoundPassage['passage'] {
  const { startsAt, text } = passage;
  return { ...passage, endsAt: endsAt ?? startsAt + text.length, headings: headings?.split('\n') ?? [] };
}

/** Passages as a learner sees them. */
@Injectable()
export class FoundPassages {
  constructor(
    private readonly database: Database,
    private readonly keys: LearnerKeys,
  ) {}

  /** JSON of the best k, those that are nearly the same as a better or an earlier one after the others. */
  async show(actor: Learner, fused: readonly Fused[], { k, meaning, before = [] }: Showing): Promise<string> {
    const [row] = await this.database.query<{ items: string }>(actor, SHOW, [
      ownerOf(actor),
      fused.map(({ passageId }) => passageId),
      fused.map(({ score }) => score),
      meaning?.spaces ?? [],
      SAME * (meaning ? dimensionsOf(meaning.vector) : 0),
      k,
      before,
    ]);
    return this.open(row!.items);
  }

  /** Opens what is sealed in JSON of `foundPassage`. @throws SealedDataUnreadable */
  async open(items: string): Promise<string> {
    const found = JSON.parse(await openSealedJson(this.keys, items)) as StoredPassage[];
    return JSON.stringify(found.map((item): FoundPassage => ({ ...item, passage: asShown(item.passage) })));
  }
}
