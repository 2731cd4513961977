import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { Database, LearnerKeys, openSealedJson, sealedJson, View, type Learner } from '@studently/platform';
import type { MessageRole } from '../domain/chat.entity';
import { EmbeddingsAway, EmbeddingsUnavailable } from '../domain/document.errors';
import { shownText } from '../domain/shown-text';
import { vectorText } from '../domain/vector';
import { EmbeddingModels } from '../embeddings/embedding-models';
import { CHAT_SUMMARY } from './chat.read-model';
import type { ChatSummary } from './list-chats';
import { VectorSpaces, type VectorSpace } from './search/vector-spaces';
import { anyAndAll, hashed, wordsIn } from './search/question-words';

/** What is looked for: a text, a vector, or both, of which the vector then stands for the meaning. */
export interface ChatSearch {
  text?: string;
  vector?: number[];
  /** 1–100 */
  k: number;
  /** Archived ones or the others; undefined: all. */
  archived?: boolean;
}

export interface FoundChat {
  chat: ChatSummary;
  /** Which fits best; null where the chat was found by its title or by what it is about. `text` ends after 10,000 characters. */
  message: { id: string; seq: number; role: MessageRole; text: string; createdAt: string } | null;
  /** The sum of reciprocal ranks. Of one search, higher is better. */
  score: number;
}

export interface ChatSearchResult {
  items: FoundChat[];
  meta: { strategy: string; estimatedMatches: number; tookMs: number };
}

/** The learner's own chats that fit best, each once: exactly min(k, matches) of them, best first. */
export class SearchChats extends Query<View<ChatSearchResult>> {
  constructor(
    readonly actor: Learner,
    readonly search: ChatSearch,
  ) {
    super();
  }
}

/**
 * A chat is ranked by its best message, by what it is about, and by its title, and the ranks are fused as those of passages are
 * (search/ranking.ts). A message is ranked by its meaning ($2) and by its words ($7 any of them, $8 all of them), which count
 * twice; so the best message of a chat counts as much as both together. $9 is the space
 * that answers; $4 is its model, whose context vectors the vector can be compared with; null: any.
 */
const SQL = `
  with candidates as materialized (
    select c.id,
      case when $4::text is null or c.context_model = $4 then 1 - (c.context_vector <=> $2::vector) end as about,
      case when $3::text <% c.title then word_similarity($3, c.title) end as titled
    from chats c where c.user_id = $1 and ($5::boolean is null or $5 = (c.archived_at is not null))
  ), turns as materialized (
    select t.chat_id, t.id, t.seq,
      1 - (v.embedding <=> $2::vector) as similarity,
      case when t.lexemes_sealed @@ $7::tsquery
        then ts_rank(t.lexemes_sealed, $7::tsquery, 1) + ts_rank_cd(t.lexemes_sealed, $8::tsquery, 1) end as word_rank
    from chat_turns t join candidates c on c.id = t.chat_id
    left join turn_vectors v on v.user_id = $1 and v.turn_id = t.id and v.space = $9
    where t.user_id = $1
  ), best_turns as (
    select distinct on (chat_id) chat_id, id, fits from (
      select chat_id, id, seq,
        coalesce(case when similarity is not null then 1.0 / (60 + rank() over (order by similarity desc nulls last)) end, 0) +
        coalesce(case when word_rank is not null then 2.0 / (60 + rank() over (order by word_rank desc nulls last)) end, 0) as fits
      from turns where similarity is not null or word_rank is not null
    ) ranked order by chat_id, fits desc, seq desc
  ), best as (
    select c.id, t.id as turn_id, count(*) over () as matched, (
        coalesce(case when fits is not null then 3.0 / (60 + rank() over (order by fits desc nulls last)) end, 0) +
        coalesce(case when about is not null then 1.0 / (60 + rank() over (order by about desc nulls last)) end, 0) +
        coalesce(case when titled is not null then 1.0 / (60 + rank() over (order by titled desc nulls last)) end, 0)
      )::float8 as score
    from candidates c left join best_turns t on t.chat_id = c.id
    where fits is not null or about is not null or titled is not null
    order by score desc, c.id limit $6
  )
  select coalesce(max(matched), 0)::int as matched, coalesce(json_agg(json_build_object(
      'chat', (select to_json(summary) from (select ${CHAT_SUMMARY}) summary),
      'message', case when m.id is not null then json_build_object('id', m.id, 'seq', m.seq, 'role', m.role,
        'text', ${sealedJson('chat_messages.content', 'm')}, 'createdAt', iso8601(m.created_at)) end,
      'score', best.score) order by best.score desc, best.id), '[]')::text as items
  from best
  join chats c on c.user_id = $1 and c.id = best.id
  left join chat_messages m on m.user_id = $1 and m.id = best.turn_id`;

@QueryHandler(SearchChats)
export class SearchChatsHandler implements IQueryHandler<SearchChats> {
  constructor(
    private readonly database: Database,
    private readonly models: EmbeddingModels,
    private readonly spaces: VectorSpaces,
    private readonly keys: LearnerKeys,
  ) {}

  async execute({ actor, search }: SearchChats): Promise<View<ChatSearchResult>> {
    const began = performance.now();
    const { text, k, archived } = search;
    // Before a connection is taken: the model may be busy.
    const serving = await this.spaces.serving();
    const vector = search.vector ?? (text === undefined ? undefined : await this.meaningOf(text, serving));
    const [row] = await this.database.query<{ matched: number; items: string }>(actor, SQL, [
      actor.userId,
      vector ? vectorText(vector) : null,
      text ?? null,
      search.vector ? null : serving.model,
      archived ?? null,
      k,
      ...(text === undefined ? [null, null] : await this.wordsOf(actor, text)),
      serving.space,
    ]);
    const found = JSON.parse(await openSealedJson(this.keys, row!.items)) as FoundChat[];
    const items = found.map(({ message, ...rest }) => ({
      ...rest,
      message: message && { ...message, text: shownText(message.text) },
    }));
    const strategy = [vector && 'exact', text !== undefined && 'text'].filter(Boolean).join('+') || 'none';
    const tookMs = Math.round((performance.now() - began) * 10) / 10;
    return View.of({ items, meta: { strategy, estimatedMatches: row!.matched, tookMs } });
  }

  private async wordsOf(actor: Learner, text: string): Promise<string[]> {
    const words = await wordsIn(this.database, actor, text);
    return anyAndAll(hashed(words, await this.keys.toSeal(actor.userId))); // who has nothing yet finds nothing
  }

  /** Without the model chats are found by their words. */
  private async meaningOf(text: string, serving: VectorSpace): Promise<number[] | undefined> {
    try {
      return await this.models.of(serving).embedQuestion(text);
    } catch (error) {
      if (error instanceof EmbeddingsAway || error instanceof EmbeddingsUnavailable) return undefined;
      throw error;
    }
  }
}
