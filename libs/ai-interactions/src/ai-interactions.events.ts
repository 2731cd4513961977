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
