import { Injectable } from '@nestjs/common';
import { Database, LearnerKeys, MAX_ATTEMPTS, type Job, type JobHandler } from '@studently/platform';
import { EmbeddingsUnavailable } from '../domain/document.errors';
import { vectorText } from '../domain/vector';
import { VectorSpaces, type VectorSpace } from '../queries/search/vector-spaces';
import { EmbeddingModels } from './embedding-models';
import { embedTurns, textOf, type StoredMessage } from './turn-vectors';

export const FILL_CHAT = 'fill-chat';

/** So many messages at a time. */
const CHUNK = 50;

const LACKING = `
  select m.id, m.seq, m.content, m.content_sealed as "contentSealed"
  from chat_turns t join chat_messages m on m.user_id = t.user_id and m.id = t.id
  where t.user_id = $1 and t.chat_id = $2 and t.seq > $4
    and not exists (select from turn_vectors v where v.user_id = $1 and v.turn_id = t.id and v.space = $3)
  order by t.seq limit ${CHUNK}`;
const KEEP = `
  insert into turn_vectors (user_id, turn_id, chat_id, space, embedding)
  select $1, t.id, t.chat_id, $2, given.embedding::vector
  from unnest($3::uuid[], $4::text[]) given (id, embedding) join chat_turns t on t.user_id = $1 and t.id = given.id
  on conflict do nothing`;

/** Gives the messages of a chat the vectors that they lack, in each space, as their learner. Done twice it is as good as once. */
@Injectable()
export class FillChat implements JobHandler {
  constructor(
    private readonly database: Database,
    private readonly keys: LearnerKeys,
    private readonly spaces: VectorSpaces,
    private readonly models: EmbeddingModels,
  ) {}

  async run(job: Job): Promise<void> {
    for (const space of await this.spaces.all()) await this.fill(job, space);
  }

  private async fill({ actor, subjectId, ending, attempt }: Job, space: VectorSpace): Promise<void> {
    const { userId } = actor;
    for (let after = 0; ;) {
      const values = [userId, subjectId, space.space, after];
      const lacking = await this.database.read<StoredMessage & object>(actor, LACKING, values);
      if (lacking.length === 0) return;
      const texts = await Promise.all(lacking.map((message) => textOf(this.keys, userId, message)));
      const { vectors, failure } = await embedTurns(this.models.of(space), texts, ending);
      const made = lacking.flatMap(({ id }, nr) => (vectors[nr] ? [{ id, vector: vectorText(vectors[nr]) }] : []));
      const kept = [userId, space.space, made.map(({ id }) => id), made.map(({ vector }) => vector)];
      await this.database.write(actor, KEEP, kept);
      if (failure && attempt < MAX_ATTEMPTS) throw new EmbeddingsUnavailable(failure);
      after = lacking.at(-1)!.seq;
    }
  }
}
