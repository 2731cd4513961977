import { Injectable } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import { Database, LearnerKeys, VersionMismatch, type Job, type JobHandler } from '@studently/platform';
import { InjectMetric } from '@willsoto/nestjs-prometheus';
import type { Counter } from 'prom-client';
import type { EmbeddedPassage } from '../commands/document-rows';
import { KeepEmbedding, type Embedding } from '../commands/keep-embedding';
import { EmbeddingsUnavailable } from '../domain/document.errors';
import { contentKey, cutPassages, textWithContext, type Passage } from '../domain/passages';
import { BATCH, LOCAL_MODEL, LocalEmbeddings } from './local-embeddings';

export const EMBED_DOCUMENT = 'embed-document';
export const EMBEDDED_PASSAGES = 'studently_embedded_passages_total';
export const FAILED_DOCUMENTS = 'studently_failed_documents_total';

const READ = `select content, content_sealed as "contentSealed", version from documents where user_id = $1 and id = $2 and status = 'pending'`;

interface StoredText {
  content: string | null;
  contentSealed: Buffer | null;
  version: number;
}

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
    private readonly embeddings: LocalEmbeddings,
    private readonly keys: LearnerKeys,
    @InjectMetric(EMBEDDED_PASSAGES) private readonly embedded: Counter,
    @InjectMetric(FAILED_DOCUMENTS) private readonly failed: Counter,
  ) {}

  run(job: Job): Promise<void> {
    return this.asItIsNow(job, async (document) => ({
      passages: await this.embed(job, cutPassages(await this.textOf(job, document))),
    }));
  }

  giveUp(job: Job, error: unknown): Promise<void> {
    const failure = error instanceof EmbeddingsUnavailable ? error.failure : 'EMBEDDING_FAILED';
    return this.asItIsNow(job, async (document) => {
      const text = await this.textOf(job, document).catch(() => undefined); // it may be what cannot be opened
      return { passages: text === undefined ? [] : cutPassages(text), failure };
    });
  }

  /** A document that has changed meanwhile is read again. One that is gone, or embedded by now, needs nothing any more. */
  private async asItIsNow(
    job: Job,
    make: (document: StoredText) => Promise<Omit<Embedding, 'version' | 'model'>>,
  ): Promise<void> {
    const { actor, subjectId } = job;
    for (;;) {
      const [document] = await this.database.read<StoredText & object>(actor, READ, [actor.userId, subjectId]);
      if (!document) return;
      const embedding = { version: document.version, model: LOCAL_MODEL, ...(await make(document)) };
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

  /** The model is asked for what it has not been asked before: of the rest the vectors have been put aside. */
  private async embed(job: Job, passages: readonly Passage[]): Promise<EmbeddedPassage[]> {
    const isFormer = await this.formerPassages(job);
    const isNew = passages.filter((passage) => !isFormer(passage));
    const embeddings = new Map<Passage, number[] | undefined>();
    for (let from = 0; from < isNew.length; from += BATCH) {
      job.ending.throwIfAborted();
      const batch = isNew.slice(from, from + BATCH);
      const vectors = await this.embeddings.embedPassages(batch.map(textWithContext));
      batch.forEach((passage, nr) => embeddings.set(passage, vectors[nr]));
    }
    this.embedded.inc([...embeddings.values()].filter((embedding) => embedding).length);
    return passages.map((passage) => ({ ...passage, embedding: embeddings.get(passage) }));
  }

  private async formerPassages({ actor, subjectId }: Job): Promise<(passage: Passage) => boolean> {
    const rows = await this.database.read<{ key: string }>(actor, FORMER, [actor.userId, subjectId, LOCAL_MODEL]);
    if (rows.length === 0) return () => false;
    const keys = new Set(rows.map(({ key }) => key));
    const cipher = await this.keys.toOpen(actor.userId);
    return (passage) => keys.has(contentKey(cipher, passage).toString('hex'));
  }
}
