import { Injectable } from '@nestjs/common';
import { Database, type Learner } from '@studently/platform';
import { Parameters } from './parameters';
import { holdsFor } from './passage-scope';
import type { SharedRanked } from './ranking';
import { isOthers, type SharedScope } from './shared-scope';
import { SHORTEST_TITLE, TITLE_LIKENESS, type Worded, type WordSearch } from './worded-passages';

export interface SharedWorded extends Worded {
  byWords: SharedRanked[];
  byTitle: SharedRanked[];
}

const ranked = `json_build_object('passageId', id, 'documentId', document_id, 'publishedBy', user_id, 'score', score, 'rank', rank)`;
/** A lexeme as a tsquery has it: in quotes, with those in it doubled. */
const QUOTED = `'''' || replace(replace(lexeme, '\\', '\\\\'), '''', '''''') || ''''`;

/** Published passages by their words: as one's own are (WordedPassages), but that the words are as they are, and an index has them. */
@Injectable()
export class SharedWordedPassages {
  constructor(private readonly database: Database) {}

  /** @throws DatabaseUnavailable */
  async find({ actor, text, most, scope }: WordSearch & { actor: Learner; scope: SharedScope }): Promise<SharedWorded> {
    const parameters = new Parameters();
    const [asked, limit] = [`${parameters.add(text)}::text`, parameters.add(most)];
    const others = isOthers(scope, actor, parameters);
    const except = scope.except.length > 0 ? ` and p.id <> all(${parameters.add(scope.except)}::uuid[])` : '';
    const holds = scope.where ? holdsFor(scope.where, parameters) : '';
    const ofMatching = scope.where
      ? ` and (p.user_id, p.document_id) in (select d.user_id, d.id from published_documents d where true${holds})`
      : '';
    const [row] = await this.database.query<SharedWorded>(
      actor,
      `with question as materialized (
         select string_agg(quoted, ' | ')::tsquery as any_word, string_agg(quoted, ' & ')::tsquery as all_words, count(*)::int as words
         from (select ${QUOTED} as quoted from unnest(tsvector_to_array(to_tsvector('english', ${asked}))) lexeme) lexemes
       ), matches as (
         select p.user_id, p.id, p.document_id,
           ts_rank(p.lexemes, any_word, 1) + ts_rank_cd(p.lexemes, all_words, 1) as score
         from question, published_passages p
         where p.lexemes @@ (select any_word from question)${others('p')}${except}${ofMatching}
       ), best as (
         select *, rank() over (order by score desc) as rank, count(*) over () as matched
         from matches order by score desc, document_id, id limit ${limit}
       ), titles as (
         select p.user_id, p.id, p.document_id, likeness as score, rank() over (order by likeness desc) as rank
         from published_documents d
         cross join lateral (
           select greatest(word_similarity(${asked}, d.title), word_similarity(d.title, ${asked})) as likeness
         ) trigrams
         join published_passages p on p.user_id = d.user_id and p.document_id = d.id and p.ordinal = 1
         where length(d.title) >= ${SHORTEST_TITLE} and likeness >= ${TITLE_LIKENESS}${others('d')}${except}${holds}
         order by likeness desc, p.document_id limit ${limit}
       )
       select coalesce((select max(matched) from best), 0)::int as matched, (select words from question) as words,
         (select coalesce(json_agg(${ranked} order by rank, document_id, id), '[]') from best) as "byWords",
         (select coalesce(json_agg(${ranked} order by rank, document_id, id), '[]') from titles) as "byTitle"`,
      parameters.values,
    );
    return row!;
  }
}
