import { Injectable } from '@nestjs/common';
import {
  Database,
  hashedLexemes,
  LearnerKeys,
  lexemesOf,
  SealedDataUnreadable,
  type Job,
  type JobHandler,
  type Lexemes,
} from '@studently/platform';
import { InjectMetric } from '@willsoto/nestjs-prometheus';
import type { Counter } from 'prom-client';
import { vectorText } from '../domain/vector';
import { VectorSpaces } from '../queries/search/vector-spaces';
import type { Embedded } from './embed-each';
import { EmbeddingModels } from './embedding-models';
import type { Embeddings } from './embeddings';
import { FILL_CHAT } from './fill-chat';
import { embedTurns, textOf, type StoredMessage } from './turn-vectors';

export const EMBED_CHAT = 'embed-chat';
export const EMBEDDED_TURNS = 'studently_embedded_turns_total';

/** So many messages are kept at a time: what an interruption loses. */
const CHUNK = 20;

const READ = `
  select m.id, m.seq, m.content, m.content_sealed as "contentSealed"
  from chats c join chat_messages m on m.user_id = c.user_id and m.chat_id = c.id and m.seq > c.embedded_count
  where c.user_id = $1 and c.id = $2 order by m.seq limit ${CHUNK}`;
const WORDS = `select ${lexemesOf('text')} as lexemes from unnest($1::text[]) with ordinality given (text, nr) order by nr`;
/**
 * Whoever else has made the same ones has committed them by the end of this. While the vectors of another model are kept as well, or
 * where the model has failed on a message ($8), a job gives the turns theirs.
 */
const KEEP = `
  with given as materialized (
    select c.id as chat_id, turn.* from chats c, unnest($4::uuid[], $5::int[], $6::text[], $7::text[]) turn (id, seq, lexemes, embedding)
    where c.user_id = $1 and c.id = $2
  ), turns as (
    insert into chat_turns (user_id, id, chat_id, seq, lexemes_sealed)
    select $1, id, chat_id, seq, lexemes::tsvector from given on conflict do nothing
  ), left_to_fill as (
    insert into jobs (job, learner_id, subject_id) select '${FILL_CHAT}', $1, $2::text
    where $8 or exists (select from vector_spaces where state not in ('supplied', 'removing') and space <> $3)
  )
  insert into turn_vectors (user_id, turn_id, chat_id, space, embedding)
  select $1, id, chat_id, $3, embedding::vector from given where embedding is not null on conflict do nothing`;
/** What a client has sent is of another model than any of ours. */
const OURS = `mean is not null and (c.context_model is null or c.context_model in (select model from vector_spaces where state <> 'supplied'))`;
/** Turns are made from the first on, so all up to $5 are there, and whoever counts up to there says the same: nobody waits for anybody. */
const COUNT = `
  update chats c set embedded_count = $5,
    context_vector = case when ${OURS} then mean else context_vector end,
    context_model = case when ${OURS} then $4 else context_model end
  from (
    select l2_normalize(avg(v.embedding)) as mean from turn_vectors v join chat_turns t on t.user_id = v.user_id and t.id = v.turn_id
    where v.user_id = $1 and v.chat_id = $2 and v.space = $3 and t.seq <= $5
  ) turns
  where c.user_id = $1 and c.id = $2 and c.embedded_count < $5`;

/**
 * Makes the turns by which the messages of a chat are found, and keeps what the chat is about. It goes on until nothing is missing,
 * so whoever appends meanwhile need not leave another job. All of it follows from the messages, which the commands that wrote them
 * have told of: it is no event of its own, and leaves the chat's version as it is.
 */
@Injectable()
export class EmbedChat implements JobHandler {
  constructor(
    private readonly database: Database,
    private readonly models: EmbeddingModels,
    private readonly spaces: VectorSpaces,
    private readonly keys: LearnerKeys,
    @InjectMetric(EMBEDDED_TURNS) private readonly turns: Counter<'outcome'>,
  ) {}

  run(job: Job): Promise<void> {
    return this.makeTurns(
      job,
      (message) => textOf(this.keys, job.actor.userId, message),
      (texts, embeddings) => embedTurns(embeddings, texts, job.ending),
    );
  }

  /** What cannot be embedded is found by its words; what cannot even be opened is not found. */
  giveUp(job: Job): Promise<void> {
    const textIfAny = (message: StoredMessage) =>
      textOf(this.keys, job.actor.userId, message).catch((error: unknown) => {
        if (error instanceof SealedDataUnreadable) return '';
        throw error;
      });
    return this.makeTurns(job, textIfAny, async (texts) => ({ vectors: texts.map(() => undefined) }));
  }

  private async makeTurns(
    job: Job,
    read: (message: StoredMessage) => Promise<string>,
    embed: (texts: readonly string[], embeddings: Embeddings) => Promise<Embedded>,
  ): Promise<void> {
    const chat = [job.actor.userId, job.subjectId];
    for (;;) {
      const messages = await this.database.read<StoredMessage & object>(job.actor, READ, chat);
      if (messages.length === 0) return;
      const texts = await Promise.all(messages.map(read));
      const serving = await this.spaces.serving();
      const { space } = serving;
      const embeddings = this.models.of(serving);
      const { vectors, failure } = await embed(texts, embeddings);
      await this.database.write(job.actor, KEEP, [
        ...chat,
        space,
        messages.map(({ id }) => id),
        messages.map(({ seq }) => seq),
        await this.wordsOf(job, texts),
        vectors.map((vector) => (vector ? vectorText(vector) : null)),
        failure !== undefined,
      ]);
      await this.database.write(job.actor, COUNT, [...chat, space, embeddings.model, messages.at(-1)!.seq]);
      for (const vector of vectors) this.turns.inc({ outcome: vector ? 'embedded' : 'words' });
    }
  }

  private async wordsOf({ actor }: Job, texts: readonly string[]): Promise<string[]> {
    const cipher = await this.keys.toSeal(actor.userId);
    const rows = await this.database.read<{ lexemes: Lexemes }>(actor, WORDS, [texts]);
    return rows.map(({ lexemes }) => hashedLexemes(cipher, lexemes));
  }
}
