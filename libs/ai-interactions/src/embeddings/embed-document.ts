import { Injectable } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import { Database, LearnerKeys, MAX_ATTEMPTS, VersionMismatch, type Job, type JobHandler } from '@studently/platform';
import { InjectMetric } from '@willsoto/nestjs-prometheus';
import type { Counter } from 'prom-client';
import { KeepEmbedding, type Embedding, type StoredText } from '../commands/keep-embedding';
import { EmbeddingsUnavailable, type EmbeddingFailure } from '../domain/document.errors';
import { contentKey, cutPassages, passageLimits, textWithContext, type Passage } from '../domain/passages';
import { VectorSpaces } from '../queries/search/vector-spaces';
import { embedEach } from './embed-each';
import { EmbeddingModels } from './embedding-models';
import type { Embeddings } from './embeddings';

export const EMBED_DOCUMENT = 'embed-document';
export const EMBEDDED_PASSAGES = 'studently_embedded_passages_total';
export const FAILED_DOCUMENTS = 'studently_failed_documents_total';

const READ = `select content, content_sealed as "contentSealed" from documents where user_id = $1 and id = $2 and status = 'pending'`;

/** What the model has said about the document as it was. */
const FORMER = `
  select encode(f.content_key, 'hex') as key from former_vectors f join vector_spaces s using (space)
  where f.user_id = $1 and f.document_id = $2 and s.model = $3`;

/** Embeds a document in the background, read and written as its learner. If that fails for good, the document says so. */
@Injectable()
export class EmbedDocument implements JobHandler {
  constructor(
    private readonly database: Database,
    private readonly commands: CommandBus,
    private readonly models: EmbeddingModels,
    private readonly spaces: VectorSpaces,
    private readonly keys: LearnerKeys,
    @InjectMetric(EMBEDDED_PASSAGES) private readonly embedded: Counter,
    @InjectMetric(FAILED_DOCUMENTS) private readonly failed: Counter,
  ) {}

  run(job: Job): Promise<void> {
    return this.asItIsNow(job, async (document) => {
      const embeddings = this.models.of(await this.spaces.serving());
      const passages = cutPassages(await this.textOf(job, document), passageLimits(embeddings.maxWords));
      return { model: embeddings.model, ...(await this.embed(job, passages, embeddings)) };
    });
  }

  giveUp(job: Job, error: unknown): Promise<void> {
    const failure = error instanceof EmbeddingsUnavailable ? error.failure : 'EMBEDDING_FAILED';
    return this.asItIsNow(job, async (document) => {
      const text = await this.textOf(job, document).catch(() => undefined); // it may be what cannot be opened
      const { model } = await this.spaces.serving();
      return { model, passages: text === undefined ? [] : cutPassages(text), failure };
    });
  }

  /** A document whose content has changed meanwhile is read again. One that is gone, or embedded by now, needs nothing any more. */
  private async asItIsNow(job: Job, make: (document: StoredText) => Promise<Omit<Embedding, 'read'>>): Promise<void> {
    const { actor, subjectId } = job;
    for (;;) {
      const [read] = await this.database.read<StoredText & object>(actor, READ, [actor.userId, subjectId]);
      if (!read) return;
      const embedding = { read, ...(await make(read)) };
      try {
        const { value: status } = await this.commands.execute(new KeepEmbedding(actor, subjectId, embedding));
        if (status === 'failed') this.failed.inc();
        return;
      } catch (error) {
        if (!(error instanceof VersionMismatch)) throw error;
      }
    }
  }

  private async textOf({ actor, subjectId }: Job, { content, contentSealed }: StoredText): Promise<string> {
    if (!contentSealed) return content!;
    return (await this.keys.toOpen(actor.userId)).open('documents.content', subjectId, contentSealed);
  }

  /**
   * The model is asked for what it has not been asked before: of the rest the vectors have been put aside. A passage on which it fails
   * is tried again with the others; at the last attempt they do without it.
   */
  private async embed(
    job: Job,
    passages: readonly Passage[],
    embeddings: Embeddings,
  ): Promise<Pick<Embedding, 'passages' | 'failure'>> {
    const isFormer = await this.formerPassages(job, embeddings.model);
    const isNew = passages.filter((passage) => !isFormer(passage));
    const vectors = new Map<Passage, number[] | undefined>();
    let failure: EmbeddingFailure | undefined;
    for (let from = 0; from < isNew.length; from += embeddings.batch) {
      job.ending.throwIfAborted();
      const batch = isNew.slice(from, from + embeddings.batch);
      const embedded = await embedEach(embeddings, batch.map(textWithContext), job.ending);
      batch.forEach((passage, nr) => vectors.set(passage, embedded.vectors[nr]));
      failure ??= embedded.failure;
      if (failure && job.attempt < MAX_ATTEMPTS) throw new EmbeddingsUnavailable(failure);
    }
    this.embedded.inc([...vectors.values()].filter((vector) => vector).length);
    return { passages: passages.map((passage) => ({ ...passage, embedding: vectors.get(passage) })), failure };
  }

  private async formerPassages({ actor, subjectId }: Job, model: string): Promise<(passage: Passage) => boolean> {
    const rows = await this.database.read<{ key: string }>(actor, FORMER, [actor.userId, subjectId, model]);
    if (rows.length === 0) return () => false;
    const keys = new Set(rows.map(({ key }) => key));
    const cipher = await this.keys.toOpen(actor.userId);
    return (passage) => keys.has(contentKey(cipher, passage).toString('hex'));
  }
}
