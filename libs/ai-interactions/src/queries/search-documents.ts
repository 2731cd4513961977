import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { Database, LearnerKeys, openSealedJson, ownerOf, View, type Learner } from '@studently/platform';
import { FilterUnknown } from '../domain/document.errors';
import { vectorText } from '../domain/vector';
import { LOCAL_MODEL, LocalEmbeddings } from '../embeddings/local-embeddings';

export const SEARCH_MODES = ['hybrid', 'vector', 'text'] as const;
export type SearchMode = (typeof SEARCH_MODES)[number];

export interface DocumentFilter {
  type?: string;
  /** Documents whose metadata contain this. */
  metadata?: Record<string, unknown>;
}
const FILTERS = ['type', 'metadata'] satisfies (keyof DocumentFilter)[] as string[];

/** What is looked for: a text, a vector, or both, of which the vector then stands for the meaning. */
export interface DocumentSearch {
  text?: string;
  vector?: number[];
  /** 1–100 */
  k: number;
  filter?: DocumentFilter;
  mode?: SearchMode;
}

export interface FoundPassage {
  document: { id: string; type: string; title: string | null; metadata: Record<string, unknown> };
  /** `text` ends after 10,000 characters, which only a passage with a supplied embedding has. */
  passage: { id: string; ordinal: number; text: string; startsAt: number };
  /** vector: cosine similarity; text: ts_rank + ts_rank_cd; hybrid: the sum of reciprocal ranks. Of one search, higher is better. */
  score: number;
}

export interface SearchResult {
  items: FoundPassage[];
  meta: { strategy: string; estimatedMatches: number; tookMs: number };
}

/** The learner's own passages that fit best: exactly min(k, matches) of them, best first. @throws FilterUnknown */
export class SearchDocuments extends Query<View<SearchResult>> {
  constructor(
    readonly actor: Learner,
    readonly search: DocumentSearch,
  ) {
    super();
  }
}

/** The words of a text, in their stems; none where it has no word that counts. */
const WORDS = `select plainto_tsquery('english', $1)::text as words`;
/** A quoted lexeme in a tsquery. */
const LEXEME = /'(?:[^'\\]|''|\\.)*'/g;

/**
 * Ranks every passage that matches, by its meaning ($2, exact) and by its words ($3), and fuses the two ranks:
 * the score is the sum of weight / (60 + rank) (Cormack, Clarke and Büttcher, Reciprocal Rank Fusion, SIGIR 2009).
 * Words count twice: on real questions they alone find more than the local model alone (docs/adr/0012).
 * Any word of the query counts ($8); all of them count more, the nearer to each other (cover density; $9). They are keyed
 * hashes, as the passages' own words are; $10 and $11 are the same for passages that are not sealed yet.
 * With one of them alone the score is its own. $4 is the model that the vector can be compared with; null: any.
 */
const TEXT = `sealed_json('document_passages.content', p.user_id, p.id, left(p.content, 10000), p.content_sealed)`;
const SQL = `
  with candidates as materialized (
    select p.id, p.document_id, p.ordinal,
      case when $4::text is null or p.embedding_model = $4 then 1 - (p.embedding <=> $2::vector) end as similarity,
      case when words.lexemes @@ words.any_word
        then ts_rank(words.lexemes, words.any_word, 1) + ts_rank_cd(words.lexemes, words.all_words, 1) end as word_rank
    from document_passages p
    join documents d on d.user_id = p.user_id and d.id = p.document_id
    cross join lateral (
      select p.lexemes_sealed as lexemes, $8::tsquery as any_word, $9::tsquery as all_words where p.lexemes_sealed is not null
      union all
      select p.lexemes, $10::tsquery, $11::tsquery where p.lexemes_sealed is null
    ) words
    where p.user_id = $1
      and ($5::text is null or d.type = $5)
      and ($6::jsonb is null or d.metadata @> $6)
  ), matches as (
    select *,
      case when similarity is not null then 1.0 / (60 + rank() over (order by similarity desc nulls last)) end as by_meaning,
      case when word_rank is not null then 2.0 / (60 + rank() over (order by word_rank desc nulls last)) end as by_words
    from candidates where similarity is not null or word_rank is not null
  ), best as (
    select *, count(*) over () as matched,
      case
        when $2::vector is null then word_rank
        when $3::text is null then similarity
        else coalesce(by_meaning, 0) + coalesce(by_words, 0)
      end::float8 as score
    from matches order by score desc, document_id, ordinal limit $7
  )
  select coalesce(max(matched), 0)::int as matched, coalesce(json_agg(json_build_object(
      'document', json_build_object('id', d.id, 'type', d.type, 'title', d.title, 'metadata', d.metadata),
      'passage', json_build_object('id', p.id, 'ordinal', p.ordinal, 'text', ${TEXT}, 'startsAt', p.starts_at),
      'score', best.score) order by best.score desc, best.document_id, best.ordinal), '[]')::text as items
  from best
  join document_passages p on p.user_id = $1 and p.id = best.id
  join documents d on d.user_id = $1 and d.id = best.document_id`;

@QueryHandler(SearchDocuments)
export class SearchDocumentsHandler implements IQueryHandler<SearchDocuments> {
  constructor(
    private readonly database: Database,
    private readonly embeddings: LocalEmbeddings,
    private readonly keys: LearnerKeys,
  ) {}

  async execute({ actor, search }: SearchDocuments): Promise<View<SearchResult>> {
    const began = performance.now();
    const { text, k, filter = {}, mode = 'hybrid' } = search;
    refuseUnknown(filter);
    const byWords = mode !== 'vector' && text !== undefined;
    // Before a connection is taken: the model may be busy.
    const vector = mode === 'text' ? undefined : (search.vector ?? (text && (await this.embeddings.embedQuestion(text))));
    const [row] = await this.database.read<{ matched: number; items: string }>(actor, SQL, [
      actor.userId,
      vector ? vectorText(vector) : null,
      byWords ? text : null,
      search.vector ? null : LOCAL_MODEL,
      filter.type ?? null,
      filter.metadata ? JSON.stringify(filter.metadata) : null,
      k,
      ...(byWords ? await this.wordsOf(actor, text) : [null, null, null, null]),
    ]);
    const { matched } = row!;
    const items = await openSealedJson(this.keys, row!.items);
    const meta: SearchResult['meta'] = {
      strategy: strategyOf(vector !== undefined, byWords),
      estimatedMatches: matched,
      tookMs: Math.round((performance.now() - began) * 10) / 10,
    };
    return new View(`{"items":${items},"meta":${JSON.stringify(meta)}}`);
  }

  /** Any of the words, and all of them: as keyed hashes, and as they are. The words are parameters, and kept nowhere. */
  private async wordsOf(actor: Learner, text: string): Promise<string[]> {
    const [row] = await this.database.read<{ words: string }>(actor, WORDS, [text]);
    const words = row!.words.match(LEXEME) ?? [];
    const cipher = await this.keys.toSeal(ownerOf(actor)); // who has nothing yet finds nothing
    const hashes = words.map((word) => `'${cipher.lexeme(unquoted(word))}'`);
    return [hashes, words].flatMap((list) => [list.join(' | '), list.join(' & ')]);
  }
}

/** As it is in a tsquery's text: quotes and backslashes are doubled. */
function unquoted(lexeme: string): string {
  return lexeme.slice(1, -1).replaceAll("''", "'").replaceAll('\\\\', '\\');
}

function refuseUnknown(filter: object): void {
  const unknown = Object.keys(filter).filter((key) => !FILTERS.includes(key));
  if (unknown.length > 0) throw new FilterUnknown(unknown);
}

/** How the answer came about; "none" where the text has nothing that could be compared. */
function strategyOf(byMeaning: boolean, byWords: boolean): string {
  if (byMeaning) return byWords ? 'exact+text' : 'exact';
  return byWords ? 'text' : 'none';
}
