import { Injectable } from '@nestjs/common';
import { Database, LearnerKeys, NotFound, openSealedJson, ownerOf, sealedJson, type Learner } from '@studently/platform';
import { LeafUnknown } from '../../domain/chat.errors';
import { vectorText } from '../../domain/vector';
import { anyAndAll, hashed, wordsIn } from '../search/question-words';
import { rankedNearest, type RankedPassage } from '../search/ranking';
import type { Turn } from './choose-context';

/** Further back nobody looks. */
const DEEPEST = 5000;

/** Up from the last message. "limit 1": by the index, whatever the planner thinks of the table. */
const BRANCH = `
  with recursive path as (
    (select seq, parent_seq, 1 as depth from chat_messages
     where user_id = $1 and chat_id = $2 and ($3::uuid is null or id = $3) order by seq desc limit 1)
    union all
    select above.seq, above.parent_seq, depth + 1 from path cross join lateral (
      select seq, parent_seq from chat_messages
      where user_id = $1 and chat_id = $2 and seq = path.parent_seq and depth < ${DEEPEST} limit 1
    ) above
  )
  select array(select seq from path order by seq desc) as branch from chats where user_id = $1 and id = $2`;

/** From the last of them on, until there are so many bytes. */
const TURNS = `
  select coalesce(json_agg(json_build_object('id', m.id, 'seq', m.seq, 'role', m.role,
      'text', ${sealedJson('chat_messages.content', 'm')}) order by m.seq desc), '[]')::text as turns
  from (
    select *, sum(coalesce(octet_length(content_sealed), octet_length(content)))
      over (order by seq desc rows between unbounded preceding and 1 preceding) as bytes
    from chat_messages where user_id = $1 and chat_id = $2 and seq = any($3::int[])
  ) m
  where m.bytes is null or m.bytes < $4`;

/** Those with these ids that are not too long. */
const THESE = `
  select coalesce(json_agg(json_build_object('id', m.id, 'seq', m.seq, 'role', m.role,
      'text', ${sealedJson('chat_messages.content', 'm')}) order by array_position($3::uuid[], m.id)), '[]')::text as turns
  from chat_messages m
  where m.user_id = $1 and m.chat_id = $2 and m.id = any($3::uuid[])
    and coalesce(octet_length(m.content_sealed), octet_length(m.content)) <= $4`;

/** Turns ($3) by their meaning ($4), of those that have a vector in this space ($5), and by their words ($6 any of them, $7 all of them). */
const RANKED = `
  with turns as materialized (
    select t.id as passage_id, t.chat_id as document_id,
      v.embedding <=> $4::vector as distance,
      case when t.lexemes_sealed @@ $6::tsquery
        then ts_rank(t.lexemes_sealed, $6::tsquery, 1) + ts_rank_cd(t.lexemes_sealed, $7::tsquery, 1) end as fits
    from chat_turns t left join turn_vectors v on v.user_id = $1 and v.turn_id = t.id and v.space = $5
    where t.user_id = $1 and t.chat_id = $2 and t.seq = any($3::int[])
  ), nearest as (
    select * from turns where distance is not null order by distance, passage_id limit $8
  ), worded as (
    select *, rank() over (order by fits desc) as rank from turns where fits is not null order by fits desc, passage_id limit $8
  )
  select coalesce((${rankedNearest()}), '[]') as "byMeaning", coalesce((
    select json_agg(json_build_object('passageId', passage_id, 'documentId', document_id, 'score', fits, 'rank', rank)
      order by rank, passage_id)::text from worded
  ), '[]') as "byWords"`;

export interface TurnSearch {
  chatId: string;
  text: string;
  /** Of `space`, made of the text; undefined: by words alone */
  vector?: readonly number[];
  space: number;
  /** Which turns come into question, by seq. */
  among: readonly number[];
  most: number;
}

/** The turns of one of a learner's chats. */
@Injectable()
export class ChatTurns {
  constructor(
    private readonly database: Database,
    private readonly keys: LearnerKeys,
  ) {}

  /** The last 5,000 turns of a branch by seq, from `leaf` or else the newest message backwards. @throws NotFound, LeafUnknown */
  async branch(actor: Learner, chatId: string, leaf?: string): Promise<number[]> {
    const values = [ownerOf(actor), chatId, leaf ?? null];
    const [row] = await this.database.query<{ branch: number[] }>(actor, BRANCH, values);
    if (!row) throw new NotFound('chat');
    if (leaf !== undefined && row.branch.length === 0) throw new LeafUnknown();
    return row.branch;
  }

  /** Those with these seqs, from the last one on backwards, until there are so many bytes of them. */
  read(actor: Learner, chatId: string, seqs: readonly number[], mostBytes: number): Promise<Turn[]> {
    return this.opened(actor, TURNS, [ownerOf(actor), chatId, seqs, mostBytes]);
  }

  /** Those with these ids, in their order, without those that have more bytes. */
  readThese(actor: Learner, chatId: string, ids: readonly string[], mostBytes: number): Promise<Turn[]> {
    return this.opened(actor, THESE, [ownerOf(actor), chatId, ids, mostBytes]);
  }

  /** Rankings in which a turn stands for a passage, and the chat for its document. */
  async rank(actor: Learner, { chatId, text, vector, space, among, most }: TurnSearch) {
    const [row] = await this.database.query<{ byMeaning: string; byWords: string }>(actor, RANKED, [
      ...[ownerOf(actor), chatId, among, vector ? vectorText(vector) : null, space],
      ...(await this.wordsOf(actor, text)),
      most,
    ]);
    return {
      byMeaning: JSON.parse(row!.byMeaning) as RankedPassage[],
      byWords: JSON.parse(row!.byWords) as RankedPassage[],
      byTitle: [],
    };
  }

  private async wordsOf(actor: Learner, text: string): Promise<string[]> {
    const words = await wordsIn(this.database, actor, text);
    return anyAndAll(hashed(words, await this.keys.toSeal(ownerOf(actor)))); // who has nothing yet finds nothing
  }

  private async opened(actor: Learner, sql: string, values: unknown[]): Promise<Turn[]> {
    const [row] = await this.database.query<{ turns: string }>(actor, sql, values);
    return JSON.parse(await openSealedJson(this.keys, row!.turns)) as Turn[];
  }
}
