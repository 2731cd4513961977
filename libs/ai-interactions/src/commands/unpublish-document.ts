import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { expectVersion, UnitOfWork, type Learner, type Written } from '@studently/platform';
import { DocumentUnpublished } from '../ai-interactions.events';
import { lockDocument } from './document-rows';
import { removePublished } from './published-rows';

/** Nobody but its owner finds the document any more. One that is not published stays so. */
export class UnpublishDocument extends Command<Written<void>> {
  constructor(
    readonly actor: Learner,
    readonly documentId: string,
    readonly ifMatch?: string,
  ) {
    super();
  }
}

@CommandHandler(UnpublishDocument)
export class UnpublishDocumentHandler implements ICommandHandler<UnpublishDocument> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, documentId, ifMatch }: UnpublishDocument): Promise<Written<void>> {
    return this.unitOfWork.run(actor, async (tx) => {
      const document = await lockDocument(tx, actor, documentId, false);
      expectVersion(document, ifMatch);
      if (!document.publishedAt) return tx.existed();
      document.unpublish();
      await removePublished(tx, document);
      tx.record(new DocumentUnpublished(actor.userId, documentId, ['publishedAt']));
    });
  }
}
