import { DomainEvent } from '@studently/platform';

/** Something happened to a chat. */
abstract class ChatEvent extends DomainEvent {
  constructor(
    readonly learnerId: string,
    /** The chat's id. */
    readonly subjectId: string,
    override readonly changedFields: readonly string[] = [],
  ) {
    super();
  }
}

export class ChatStarted extends ChatEvent {
  static override readonly topic = 'chat.started';
}
export class ChatRenamed extends ChatEvent {
  static override readonly topic = 'chat.renamed';
}
export class ChatDeleted extends ChatEvent {
  static override readonly topic = 'chat.deleted';
}
export class ChatContextChanged extends ChatEvent {
  static override readonly topic = 'chat.context-changed';
}
export class MessageAppended extends ChatEvent {
  static override readonly topic = 'chat.message-appended';
  constructor(
    learnerId: string,
    chatId: string,
    readonly seq: number,
  ) {
    super(learnerId, chatId, ['messages']);
  }
}

/** Something happened to a document. */
abstract class DocumentEvent extends DomainEvent {
  constructor(
    readonly learnerId: string,
    /** The document's id. */
    readonly subjectId: string,
    override readonly changedFields: readonly string[] = [],
  ) {
    super();
  }
}

export class DocumentAdded extends DocumentEvent {
  static override readonly topic = 'document.added';
}
export class DocumentChanged extends DocumentEvent {
  static override readonly topic = 'document.changed';
}
export class DocumentDeleted extends DocumentEvent {
  static override readonly topic = 'document.deleted';
}
export class DocumentEmbedded extends DocumentEvent {
  static override readonly topic = 'document.embedded';
}
export class DocumentEmbeddingFailed extends DocumentEvent {
  static override readonly topic = 'document.embedding-failed';
}
/** A chunk of a bulk request: all of its documents are new. */
export class DocumentsImported extends DomainEvent {
  static override readonly topic = 'document.imported';
  constructor(
    readonly learnerId: string,
    readonly documentIds: readonly string[],
  ) {
    super();
  }
  /** The audit log names the learner, as the documents are many. */
  get subjectId(): string {
    return this.learnerId;
  }
}
