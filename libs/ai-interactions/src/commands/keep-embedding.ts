import { LockMode } from '@mikro-orm/core';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { UnitOfWork, View, type Learner, type Transaction, type Written } from '@studently/platform';
import { DocumentEmbedded, DocumentEmbeddingFailed } from '../ai-interactions.events';
import { Document } from '../domain/document.entity';
import type { EmbeddingFailure } from '../domain/document.errors';
import { normalisedMean } from '../domain/vector';
import { addPassages, dequeueEmbedding, type EmbeddedPassage } from './document-rows';

export interface Embedding {
  /** Of the document that was read. */
  version: number;
  model: string;
  passages: EmbeddedPassage[];
  /** Why nothing has come of it: the passages are kept without embeddings then, to be found by their words. */
  failure?: EmbeddingFailure;
}

/** Keeps what the model has made of a document, or that it cannot make anything of it, unless the document has changed. */
export class KeepEmbedding extends Command<Written<{ kept: boolean }>> {
  constructor(
    readonly actor: Learner,
    readonly documentId: string,
    readonly embedding: Embedding,
  ) {
    super();
  }
}

@CommandHandler(KeepEmbedding)
export class KeepEmbeddingHandler implements ICommandHandler<KeepEmbedding> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, documentId, embedding }: KeepEmbedding): Promise<Written<{ kept: boolean }>> {
    return this.unitOfWork.run<{ kept: boolean }>(actor, async (tx) => {
      const document = await tx.em.findOne(
        Document,
        { userId: actor.userId, id: documentId, status: 'pending', version: embedding.version },
        { lockMode: LockMode.PESSIMISTIC_WRITE },
      );
      if (document) await this.keep(tx, document, embedding);
      else tx.existed();
      return View.of({ kept: document !== null });
    });
  }

  private async keep(tx: Transaction, document: Document, { model, passages, failure }: Embedding): Promise<void> {
    await addPassages(tx, document, passages, model);
    await dequeueEmbedding(tx, document);
    const vectors = passages.flatMap(({ embedding }) => (embedding ? [embedding] : []));
    if (vectors.length > 0) {
      document.embedded(normalisedMean(vectors), model);
      tx.record(new DocumentEmbedded(document.userId, document.id, ['status', 'passages']));
    } else {
      document.failed(failure ?? 'NOTHING_TO_EMBED');
      tx.record(new DocumentEmbeddingFailed(document.userId, document.id, ['status', 'passages']));
    }
  }
}
