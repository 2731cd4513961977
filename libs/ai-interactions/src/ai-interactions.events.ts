import { DomainEvent, LearnerEvent } from '@studently/platform';

export class ChatStarted extends LearnerEvent {
  static override readonly topic = 'chat.started';
  constructor(
    learnerId: string,
    chatId: string,
    /** It has messages. */
    readonly toBeEmbedded: boolean,
  ) {
    super(learnerId, chatId);
  }
}
export class ChatChanged extends LearnerEvent {
  static override readonly topic = 'chat.changed';
}
export class ChatDeleted extends LearnerEvent {
  static override readonly topic = 'chat.deleted';
}
export class ChatContextChanged extends LearnerEvent {
  static override readonly topic = 'chat.context-changed';
}
export class MessageAppended extends LearnerEvent {
  static override readonly topic = 'chat.message-appended';
  constructor(
    learnerId: string,
    chatId: string,
    readonly seq: number,
    /** No job is there that will take it along. */
    readonly toBeEmbedded: boolean,
  ) {
    super(learnerId, chatId, ['messages']);
  }
}

export class DocumentAdded extends LearnerEvent {
  static override readonly topic = 'document.added';
  constructor(
    learnerId: string,
    documentId: string,
    /** It has brought no embedding. */
    readonly toBeEmbedded: boolean,
  ) {
    super(learnerId, documentId);
  }
}
export class DocumentChanged extends LearnerEvent {
  static override readonly topic = 'document.changed';
  constructor(
    learnerId: string,
    documentId: string,
    changedFields: readonly string[],
    /** What it had was of another content. */
    readonly toBeEmbedded: boolean,
  ) {
    super(learnerId, documentId, changedFields);
  }
}
export class DocumentDeleted extends LearnerEvent {
  static override readonly topic = 'document.deleted';
}
/** Others may find it as it is now: for the first time, or anew. */
export class DocumentPublished extends LearnerEvent {
  static override readonly topic = 'document.published';
}
export class DocumentUnpublished extends LearnerEvent {
  static override readonly topic = 'document.unpublished';
}
export class DocumentEmbedded extends LearnerEvent {
  static override readonly topic = 'document.embedded';
}
export class DocumentEmbeddingFailed extends LearnerEvent {
  static override readonly topic = 'document.embedding-failed';
}
/** A chunk of a bulk request: all of its documents are new. */
export class DocumentsImported extends DomainEvent {
  static override readonly topic = 'document.imported';
  constructor(
    readonly learnerId: string,
    readonly documentIds: readonly string[],
    /** Those of them that have brought no embedding. */
    readonly idsToEmbed: readonly string[],
  ) {
    super();
  }
  /** The audit log names the learner, as the documents are many. */
  get subjectId(): string {
    return this.learnerId;
  }
}
