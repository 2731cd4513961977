import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { IdTaken, UnitOfWork, type Learner, type Transaction, type Written } from '@studently/platform';
import { DocumentAdded } from '../ai-interactions.events';
import { Document } from '../domain/document.entity';
import type { NewDocument } from '../domain/new-document';
import { wholePassage } from '../domain/passages';
import { CLIENT_MODEL } from '../domain/vector';
import { documentModel, type DocumentView } from '../queries/document.read-model';
import { addPassages } from './document-rows';

/** Keeps a document and has it embedded, unless it brings its embedding. Adding the same document twice is once. */
export class AddDocument extends Command<Written<DocumentView>> {
  constructor(
    readonly actor: Learner,
    readonly document: NewDocument,
  ) {
    super();
  }
}

@CommandHandler(AddDocument)
export class AddDocumentHandler implements ICommandHandler<AddDocument> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, document: wanted }: AddDocument): Promise<Written<DocumentView>> {
    return this.unitOfWork.run<DocumentView>(actor, async (tx) => {
      const existing = await tx.em.findOne(
        Document,
        { userId: actor.userId, id: wanted.id },
        { populate: ['content', 'contentSealed', 'embedding'] },
      );
      const cipher = await tx.cipher(actor.userId);
      if (existing && !existing.holds(wanted, cipher)) throw new IdTaken();
      if (existing) tx.existed();
      else await this.add(tx, Document.of(actor.userId, wanted, cipher), wanted.content);
      return tx.view(documentModel, actor.userId, wanted.id);
    });
  }

  private async add(tx: Transaction, document: Document, content: string): Promise<void> {
    tx.em.persist(document);
    await tx.em.flush();
    const { embedding } = document;
    if (embedding) await addPassages(tx, document, [{ ...wholePassage(content), embedding }], CLIENT_MODEL);
    tx.record(new DocumentAdded(document.userId, document.id, !embedding));
  }
}
