import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { expectVersion, UnitOfWork, type Learner, type Transaction, type Written } from '@studently/platform';
import { DocumentChanged } from '../ai-interactions.events';
import type { Document, DocumentChanges } from '../domain/document.entity';
import { wholePassage } from '../domain/passages';
import { CLIENT_MODEL } from '../domain/vector';
import { documentModel, type DocumentView } from '../queries/document.read-model';
import { addPassages, forgetFormerVectors, lockDocument, removePassages } from './document-rows';

/** Changes what is given. Another content is embedded anew, unless an embedding comes with it. */
export class ChangeDocument extends Command<Written<DocumentView>> {
  constructor(
    readonly actor: Learner,
    readonly documentId: string,
    readonly changes: DocumentChanges,
    readonly ifMatch?: string,
  ) {
    super();
  }
}

@CommandHandler(ChangeDocument)
export class ChangeDocumentHandler implements ICommandHandler<ChangeDocument> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, documentId, changes, ifMatch }: ChangeDocument): Promise<Written<DocumentView>> {
    return this.unitOfWork.run<DocumentView>(actor, async (tx) => {
      const whole = changes.content !== undefined || changes.embedding !== undefined;
      const document = await lockDocument(tx, actor, documentId, whole);
      expectVersion(document, ifMatch);
      const anew = document.change(changes, await tx.cipher(actor.userId));
      if (anew) await this.renewPassages(tx, document, changes.embedding);
      tx.record(new DocumentChanged(actor.userId, documentId, Object.keys(changes), anew && !changes.embedding));
      return tx.view(documentModel, actor.userId, documentId);
    });
  }

  private async renewPassages(tx: Transaction, document: Document, embedding: number[] | undefined): Promise<void> {
    await removePassages(tx, document);
    if (!embedding) return;
    const content = document.text(await tx.cipher(document.userId));
    await addPassages(tx, document, [{ ...wholePassage(content), embedding }], CLIENT_MODEL);
    await forgetFormerVectors(tx, document);
  }
}
