import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { expectVersion, UnitOfWork, type Learner, type Written } from '@studently/platform';
import { DocumentPublished } from '../ai-interactions.events';
import { lockDocument } from './document-rows';
import { addPublished, removePublished } from './published-rows';

/**
 * Lets everybody find a document as it is now. What becomes of the document afterwards others see when it is published anew;
 * deleted, it is gone for them at once.
 */
export class PublishDocument extends Command<Written<void>> {
  constructor(
    readonly actor: Learner,
    readonly documentId: string,
    readonly ifMatch?: string,
    readonly now = new Date(),
  ) {
    super();
  }
}

@CommandHandler(PublishDocument)
export class PublishDocumentHandler implements ICommandHandler<PublishDocument> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, documentId, ifMatch, now }: PublishDocument): Promise<Written<void>> {
    return this.unitOfWork.run(actor, async (tx) => {
      const document = await lockDocument(tx, actor, documentId, true);
      expectVersion(document, ifMatch);
      document.publish(now);
      await removePublished(tx, document);
      await addPublished(tx, document);
      tx.record(new DocumentPublished(actor.userId, documentId, ['publishedAt']));
    });
  }
}
