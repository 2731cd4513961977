import { LockMode } from '@mikro-orm/core';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { UnitOfWork, VersionMismatch, type Learner, type Transaction, type Written } from '@studently/platform';
import { DocumentEmbedded, DocumentEmbeddingFailed } from '../ai-interactions.events';
import { Document } from '../domain/document.entity';
import type { EmbeddingFailure } from '../domain/document.errors';
import { normalisedMean } from '../domain/vector';
import { addPassages, type EmbeddedPassage } from './document-rows';

export interface Embedding {
  /** Of the document that was read. */
  version: number;
  model: string;
  passages: EmbeddedPassage[];
  /** Why passages have no embedding: they are kept without, to be found by their words. */
  failure?: EmbeddingFailure;
}

/** Keeps what the model has made of a document, or that it cannot make anything of it. @throws VersionMismatch if the document has changed */
export class KeepEmbedding extends Command<Written<void>> {
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

  execute({ actor, documentId, embedding }: KeepEmbedding): Promise<Written<void>> {
    return this.unitOfWork.run(actor, async (tx) => {
      const document = await tx.em.findOne(
        Document,
        { userId: actor.userId, id: documentId, status: 'pending', version: embedding.version },
        { lockMode: LockMode.PESSIMISTIC_WRITE },
      );
      if (!document) throw new VersionMismatch();
      await this.keep(tx, document, embedding);
    });
  }

  private async keep(tx: Transaction, document: Document, { model, passages, failure }: Embedding): Promise<void> {
    await addPassages(tx, document, passages, model);
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
