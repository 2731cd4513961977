import { Injectable } from '@nestjs/common';
import { Database, ownerOf, type Learner } from '@studently/platform';
import { foundPassage, FoundPassages, SAME, type Showing } from './found-passages';
import { dimensionsOf } from './nearest-passages';
import type { Fused } from './ranking';

/** SQL of a found passage `p` of a published document `d`, as JSON. */
export const sharedPassage = (score: string) => `json_build_object(
  'document', json_build_object('id', d.id, 'type', d.type, 'title', d.title, 'metadata', d.metadata, 'publishedBy', d.user_id),
  'passage', json_build_object('id', p.id, 'ordinal', p.ordinal, 'text', left(p.content, 10000),
    'startsAt', p.starts_at, 'endsAt', p.ends_at, 'headings', p.headings),
  'score', ${score})`;

/** One's own passages (`publisher` is null) and published ones; those that are like a better or an earlier one come after all others. */
const SHOW = `
  with earlier as (
    select signs from passage_vectors where user_id = $1 and passage_id = any($8::uuid[]) and space = any($5::smallint[])
    union all
    select signs from published_passages where id = any($8::uuid[]) and space = any($5::smallint[])
  ), given as (
    select given.*, coalesce(v.signs, binary_quantize(p.embedding)::bit(1536)) as signs
    from unnest($2::uuid[], $3::uuid[], $4::float8[]) with ordinality given (id, publisher, score, nr)
    left join passage_vectors v on given.publisher is null and v.user_id = $1 and v.passage_id = given.id and v.space = any($5::smallint[])
    left join published_passages p on p.user_id = given.publisher and p.id = given.id and p.space = any($5::smallint[])
    where case when publisher is null -- and has not gone since it was ranked
      then exists (select from document_passages o where o.user_id = $1 and o.id = given.id)
      else exists (select from published_passages o where o.user_id = publisher and o.id = given.id) end
  ), shown as (
    select *, exists (
        select from given better where better.nr < given.nr and better.signs <~> given.signs <= $6::float8
        union all
        select from earlier where earlier.signs <~> given.signs <= $6::float8
      ) as is_copy
    from given order by is_copy, nr limit $7
  ), items as (
    select is_copy, nr, ${foundPassage('shown.score')} as item
    from shown
    join document_passages p on p.user_id = $1 and p.id = shown.id
    join documents d on d.user_id = $1 and d.id = p.document_id
    where publisher is null
    union all
    select is_copy, nr, ${sharedPassage('shown.score')}
    from shown
    join published_passages p on p.user_id = publisher and p.id = shown.id
    join published_documents d on d.user_id = p.user_id and d.id = p.document_id
  )
  select coalesce(json_agg(item order by is_copy, nr), '[]')::text as items from items`;

/** One's own passages and published ones, as a learner sees them. */
@Injectable()
export class SharedFoundPassages {
  constructor(
    private readonly database: Database,
    private readonly own: FoundPassages,
  ) {}

  /**
   * JSON of the best k, those that are nearly the same as a better or an earlier one after the others.
   * @param publishers of those passages that are published
   */
  async show(
    actor: Learner,
    fused: readonly Fused[],
    publishers: ReadonlyMap<string, string>,
    { k, meaning, before = [] }: Showing,
  ): Promise<string> {
    const [row] = await this.database.query<{ items: string }>(actor, SHOW, [
      ownerOf(actor),
      fused.map(({ passageId }) => passageId),
      fused.map(({ passageId }) => publishers.get(passageId) ?? null),
      fused.map(({ score }) => score),
      meaning?.spaces ?? [],
      SAME * (meaning ? dimensionsOf(meaning.vector) : 0),
      k,
      before,
    ]);
    return this.own.open(row!.items);
  }
}
