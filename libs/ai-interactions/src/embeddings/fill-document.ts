import { Injectable } from '@nestjs/common';
import { Database, LearnerKeys, MAX_ATTEMPTS, type Job, type JobHandler } from '@studently/platform';
import { EmbeddingsUnavailable } from '../domain/document.errors';
import { contextFrom, textWithContext } from '../domain/passages';
import { vectorText } from '../domain/vector';
import { VectorSpaces, type VectorSpace } from '../queries/search/vector-spaces';
import { embedEach } from './embed-each';
import { EmbeddingModels } from './embedding-models';

export const FILL_DOCUMENT = 'fill-document';

/** A supplied vector belongs to every space. */
const LACKING = `
  select p.id, p.content, p.content_sealed as "contentSealed", p.context_sealed as "contextSealed" from document_passages p
  where p.user_id = $1 and p.document_id = $2
    and exists (select from documents d where d.user_id = $1 and d.id = $2 and d.status = 'ready' and d.embedding_model <> 'client')
    and not exists (select from passage_vectors v where v.user_id = $1 and v.passage_id = p.id and v.space = $3)
  order by p.ordinal`;
const KEEP = `
  insert into passage_vectors (user_id, passage_id, document_id, space, embedding)
  select $1, p.id, p.document_id, $2, given.embedding::vector
  from unnest($3::uuid[], $4::text[]) given (id, embedding) join document_passages p on p.user_id = $1 and p.id = given.id
  on conflict do nothing`;

interface StoredPassage {
  id: string;
  content: string | null;
  contentSealed: Buffer | null;
  contextSealed: Buffer | null;
}

/** Gives the passages of a document the vectors that they lack, in each space, as their learner. Done twice it is as good as once. */
@Injectable()
export class FillDocument implements JobHandler {
  constructor(
    private readonly database: Database,
    private readonly keys: LearnerKeys,
    private readonly spaces: VectorSpaces,
    private readonly models: EmbeddingModels,
  ) {}

  async run(job: Job): Promise<void> {
    for (const space of await this.spaces.all()) await this.fill(job, space);
  }

  private async fill(job: Job, space: VectorSpace): Promise<void> {
    const { actor, subjectId, ending } = job;
    const { userId } = actor;
    const lacking = await this.database.read<StoredPassage & object>(actor, LACKING, [userId, subjectId, space.space]);
    if (lacking.length === 0) return;
    const model = this.models.of(space);
    const texts = await this.textsOf(userId, lacking);
    for (let from = 0; from < lacking.length; from += model.batch) {
      ending.throwIfAborted();
      const { vectors, failure } = await embedEach(model, texts.slice(from, from + model.batch), ending);
      const made = vectors.flatMap((vector, nr) =>
        vector ? [{ id: lacking[from + nr]!.id, vector: vectorText(vector) }] : [],
      );
      const values = [userId, space.space, made.map(({ id }) => id), made.map(({ vector }) => vector)];
      await this.database.write(actor, KEEP, values);
      if (failure && job.attempt < MAX_ATTEMPTS) throw new EmbeddingsUnavailable(failure);
    }
  }

  private async textsOf(userId: string, passages: readonly StoredPassage[]): Promise<string[]> {
    const cipher = await this.keys.toOpen(userId);
    return passages.map(({ id, content, contentSealed, contextSealed }) => {
      const text = contentSealed ? cipher.open('document_passages.content', id, contentSealed) : content!;
      const headings = contextSealed ? cipher.open('document_passages.context', id, contextSealed).split('\n') : [];
      return textWithContext({ content: text, context: contextFrom(headings.filter((heading) => !text.includes(heading))) });
    });
  }
}
