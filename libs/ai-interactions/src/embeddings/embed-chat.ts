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
import { cutPassages } from '../domain/passages';
import { normalisedMean, vectorText } from '../domain/vector';
import { VectorSpaces } from '../queries/search/vector-spaces';
import { embedEach } from './embed-each';
import { EmbeddingModels } from './embedding-models';
import type { Embeddings } from './embeddings';

export const EMBED_CHAT = 'embed-chat';
export const EMBEDDED_TURNS = 'studently_embedded_turns_total';

/** So many messages are kept at a time: what an interruption loses. */
const CHUNK = 20;

const READ = `
  select m.id, m.seq, m.content, m.content_sealed as "contentSealed"
  from chats c join chat_messages m on m.user_id = c.user_id and m.chat_id = c.id and m.seq > c.embedded_count
  where c.user_id = $1 and c.id = $2 order by m.seq limit ${CHUNK}`;
const WORDS = `select ${lexemesOf('text')} as lexemes from unnest($1::text[]) with ordinality given (text, nr) order by nr`;
/** Whoever else has made the same ones has committed them by the end of this. */
const KEEP = `
  insert into chat_turns (user_id, id, chat_id, seq, lexemes_sealed, embedding, embedding_model)
  select c.user_id, turn.id, c.id, seq, lexemes::tsvector, embedding::vector, case when embedding is not null then $3 end
  from chats c, unnest($4::uuid[], $5::int[], $6::text[], $7::text[]) turn (id, seq, lexemes, embedding)
  where c.user_id = $1 and c.id = $2
  on conflict do nothing`;
/** Something of the turns is of the model that has made the context vector; what a client has sent is of another one. */
const OURS = 'mean is not null and (c.context_model is null or c.context_model = any (models))';
/** Turns are made from the first on, so all up to $4 are there, and whoever counts up to there says the same: nobody waits for anybody. */
const COUNT = `
  update chats c set embedded_count = $4,
    context_vector = case when ${OURS} then mean else context_vector end,
    context_model = case when ${OURS} then $3 else context_model end
  from (
    select l2_normalize(avg(embedding) filter (where embedding_model = $3)) as mean, array_agg(distinct embedding_model) as models
    from chat_turns where user_id = $1 and chat_id = $2 and seq <= $4
  ) turns
  where c.user_id = $1 and c.id = $2 and c.embedded_count < $4`;

interface StoredMessage {
  id: string;
  seq: number;
  content: string | null;
  contentSealed: Buffer | null;
}

/** What the model says about each of some texts; undefined where it says nothing. */
type Vectors = (number[] | undefined)[];

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
      (message) => this.textOf(job, message),
      (texts, embeddings) => this.embed(job, texts, embeddings),
    );
  }

  /** What cannot be embedded is found by its words; what cannot even be opened is not found. */
  giveUp(job: Job): Promise<void> {
    const textOf = (message: StoredMessage) =>
      this.textOf(job, message).catch((error: unknown) => {
        if (error instanceof SealedDataUnreadable) return '';
        throw error;
      });
    return this.makeTurns(job, textOf, async (texts) => texts.map(() => undefined));
  }

  private async makeTurns(
    job: Job,
    textOf: (message: StoredMessage) => Promise<string>,
    embed: (texts: readonly string[], embeddings: Embeddings) => Promise<Vectors>,
  ): Promise<void> {
    const chat = [job.actor.userId, job.subjectId];
    for (;;) {
      const messages = await this.database.read<StoredMessage & object>(job.actor, READ, chat);
      if (messages.length === 0) return;
      const texts = await Promise.all(messages.map(textOf));
      const embeddings = this.models.of(await this.spaces.serving());
      const vectors = await embed(texts, embeddings);
      await this.database.write(job.actor, KEEP, [
        ...chat,
        embeddings.model,
        messages.map(({ id }) => id),
        messages.map(({ seq }) => seq),
        await this.wordsOf(job, texts),
        vectors.map((vector) => (vector ? vectorText(vector) : null)),
      ]);
      await this.database.write(job.actor, COUNT, [...chat, embeddings.model, messages.at(-1)!.seq]);
      for (const vector of vectors) this.turns.inc({ outcome: vector ? 'embedded' : 'words' });
    }
  }

  private async textOf({ actor }: Job, { id, content, contentSealed }: StoredMessage): Promise<string> {
    if (!contentSealed) return content!;
    return (await this.keys.toOpen(actor.userId)).open('chat_messages.content', id, contentSealed);
  }

  private async wordsOf({ actor }: Job, texts: readonly string[]): Promise<string[]> {
    const cipher = await this.keys.toSeal(actor.userId);
    const rows = await this.database.read<{ lexemes: Lexemes }>(actor, WORDS, [texts]);
    return rows.map(({ lexemes }) => hashedLexemes(cipher, lexemes));
  }

  /** The passages of all texts go to the model in batches, whosever they are. */
  private async embed({ ending }: Job, texts: readonly string[], embeddings: Embeddings): Promise<Vectors> {
    const passages = texts.flatMap((text, nr) => cutPassages(text).map(({ content }) => ({ nr, content })));
    const vectorsOf = texts.map((): number[][] => []);
    for (let from = 0; from < passages.length; from += embeddings.batch) {
      ending.throwIfAborted();
      const batch = passages.slice(from, from + embeddings.batch);
      const { vectors } = await embedEach(
        embeddings,
        batch.map(({ content }) => content),
        ending,
      );
      batch.forEach(({ nr }, at) => vectors[at] && vectorsOf[nr]!.push(vectors[at]));
    }
    return vectorsOf.map((vectors) => (vectors.length > 0 ? normalisedMean(vectors) : undefined));
  }
}
