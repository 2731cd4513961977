import { Injectable } from '@nestjs/common';
import { Database, LearnerKeys, ownerOf, type Learner } from '@studently/platform';
import { Parameters } from './parameters';
import { isInScope, type PassageScope } from './passage-scope';
import { anyAndAll, hashed, wordsIn } from './question-words';
import type { RankedPassage } from './ranking';

export interface WordSearch {
  actor: Learner;
  text: string;
  /** So many of each ranking at most. */
  most: number;
  scope: PassageScope;
}

export interface Worded {
  /** Passages that have one of the words at least, best first. */
  byWords: RankedPassage[];
  /** The first passages of documents whose title is like the text, or in it. */
  byTitle: RankedPassage[];
  /** How many have one of the words. */
  matched: number;
  /** How many words the text has that count: in their stems, each once. */
  words: number;
}

/** Like it enough: trigrams forgive misspelling. */
export const TITLE_LIKENESS = 0.6;
/** A shorter title is in too many texts. */
export const SHORTEST_TITLE = 4;

/**
 * One learner's passages by their words. Any word of the text counts (ts_rank); all of them count more, the nearer to each other
 * (cover density, ts_rank_cd; Clarke, Cormack and Tudhope, Relevance Ranking for One to Three Term Queries, 2000). Words are keyed
 * hashes, as the passages' own are, but of passages that are not sealed yet.
 */
@Injectable()
export class WordedPassages {
  constructor(
    private readonly database: Database,
    private readonly keys: LearnerKeys,
  ) {}

  /** @throws DatabaseUnavailable */
  async find({ actor, text, most, scope }: WordSearch): Promise<Worded> {
    const parameters = new Parameters();
    const userId = parameters.add(ownerOf(actor));
    const words = await this.wordsOf(actor, text);
    const [anyHashed, allHashed, any, all] = words.queries.map((query) => `${parameters.add(query)}::tsquery`);
    const [asked, limit] = [`${parameters.add(text)}::text`, parameters.add(most)];
    const [row] = await this.database.query<Omit<Worded, 'words'>>(
      actor,
      `with matches as (
         select p.id, p.document_id, ts_rank(words.lexemes, words.any_word, 1) + ts_rank_cd(words.lexemes, words.all_words, 1) as score
         from document_passages p
         cross join lateral (
           select p.lexemes_sealed as lexemes, ${anyHashed} as any_word, ${allHashed} as all_words where p.lexemes_sealed is not null
           union all
           select p.lexemes, ${any}, ${all} where p.lexemes_sealed is null
         ) words
         where p.user_id = ${userId} and words.lexemes @@ words.any_word${isInScope('p', 'id', userId, scope, parameters)}
       ), best as (
         select *, rank() over (order by score desc) as rank, count(*) over () as matched
         from matches order by score desc, document_id, id limit ${limit}
       ), titles as (
         select p.id, p.document_id, likeness as score, rank() over (order by likeness desc) as rank
         from documents d
         cross join lateral (
           select greatest(word_similarity(${asked}, d.title), word_similarity(d.title, ${asked})) as likeness
         ) trigrams
         join document_passages p on p.user_id = d.user_id and p.document_id = d.id and p.ordinal = 1
         where d.user_id = ${userId} and length(d.title) >= ${SHORTEST_TITLE} and likeness >= ${TITLE_LIKENESS}
           ${isInScope('p', 'id', userId, scope, parameters)}
         order by likeness desc, p.document_id limit ${limit}
       )
       select coalesce((select max(matched) from best), 0)::int as matched,
         (select coalesce(json_agg(${ranked} order by rank, document_id, id), '[]') from best) as "byWords",
         (select coalesce(json_agg(${ranked} order by rank, document_id, id), '[]') from titles) as "byTitle"`,
      parameters.values,
    );
    return { ...row!, words: words.count };
  }

  /** Any of the words, and all of them: as keyed hashes, and as they are. */
  private async wordsOf(actor: Learner, text: string): Promise<{ queries: string[]; count: number }> {
    const words = await wordsIn(this.database, actor, text);
    const cipher = await this.keys.toSeal(ownerOf(actor)); // who has nothing yet finds nothing
    return { queries: [hashed(words, cipher), words].flatMap(anyAndAll), count: new Set(words).size };
  }
}

const ranked = `json_build_object('passageId', id, 'documentId', document_id, 'score', score, 'rank', rank)`;
