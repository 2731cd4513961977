import { LockMode } from '@mikro-orm/core';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { UnitOfWork, VersionMismatch, View, type Learner, type Transaction, type Written } from '@studently/platform';
import { DocumentEmbedded, DocumentEmbeddingFailed } from '../ai-interactions.events';
import { Document, type DocumentStatus } from '../domain/document.entity';
import type { EmbeddingFailure } from '../domain/document.errors';
import { addPassages, forgetFormerVectors, leaveToFill, meanVector, type EmbeddedPassage } from './document-rows';

/** What was read of a document, as its row had it. */
export interface StoredText {
  content: string | null;
  contentSealed: Buffer | null;
}

export interface Embedding {
  read: StoredText;
  model: string;
  passages: EmbeddedPassage[];
  /** Why passages have no new embedding: they are kept without, to be found by their words. */
  failure?: EmbeddingFailure;
}

/**
 * Keeps what the model has made of a document, or that it cannot make anything of it.
 * @throws VersionMismatch if the content has changed; title and metadata are no part of what the model reads
 * @throws EmbeddingsAway if another model has taken this one's place
 */
export class KeepEmbedding extends Command<Written<DocumentStatus>> {
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

  execute({ actor, documentId, embedding }: KeepEmbedding): Promise<Written<DocumentStatus>> {
    return this.unitOfWork.run<DocumentStatus>(actor, async (tx) => {
      const document = await tx.em.findOne(
        Document,
        { userId: actor.userId, id: documentId, status: 'pending', ...embedding.read },
        { lockMode: LockMode.PESSIMISTIC_WRITE },
      );
      if (!document) throw new VersionMismatch();
      await this.keep(tx, document, embedding);
      return View.of(document.status);
    });
  }

  private async keep(tx: Transaction, document: Document, { model, passages, failure }: Embedding): Promise<void> {
    await addPassages(tx, document, passages, model);
    // A model that fails on some of it has still read the others: they are found by their meaning, the rest by its words.
    const isRead = !failure || passages.some(({ embedding }) => embedding);
    const mean = isRead ? await meanVector(tx, document, model) : undefined;
    if (mean) {
      await forgetFormerVectors(tx, document);
      await leaveToFill(tx, document, model);
      document.embedded(mean, model);
      tx.record(new DocumentEmbedded(document.userId, document.id, ['status', 'passages']));
    } else {
      document.failed(failure ?? 'NOTHING_TO_EMBED');
      tx.record(new DocumentEmbeddingFailed(document.userId, document.id, ['status', 'passages']));
    }
  }
}
