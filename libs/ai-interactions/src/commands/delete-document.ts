import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { expectVersion, UnitOfWork, type Learner, type Written } from '@studently/platform';
import { DocumentDeleted } from '../ai-interactions.events';
import { lockDocument } from './document-rows';

/** Deletes a document with its passages. */
export class DeleteDocument extends Command<Written<void>> {
  constructor(
    readonly actor: Learner,
    readonly documentId: string,
    readonly ifMatch?: string,
  ) {
    super();
  }
}

@CommandHandler(DeleteDocument)
export class DeleteDocumentHandler implements ICommandHandler<DeleteDocument> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, documentId, ifMatch }: DeleteDocument): Promise<Written<void>> {
    return this.unitOfWork.run(actor, async (tx) => {
      const document = await lockDocument(tx, actor, documentId, false);
      expectVersion(document, ifMatch);
      tx.em.remove(document);
      tx.record(new DocumentDeleted(actor.userId, documentId));
    });
  }
}
