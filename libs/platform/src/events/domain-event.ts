/**
 * Something that happened, in the past tense. It is written to the audit log and to the outbox in the
 * transaction that made it true, and carries ids only: never content, never personal data.
 */
export abstract class DomainEvent {
  /** `context.what-happened`, for example `chat.message-appended`. */
  static readonly topic: string;

  /** The learner whose data changed; undefined: nobody's. */
  abstract readonly learnerId?: string;

  /** The changed thing's id. */
  abstract readonly subjectId: string;

  /** The names of the changed fields, without their values. */
  readonly changedFields?: readonly string[];

  get topic(): string {
    return (this.constructor as typeof DomainEvent).topic;
  }
}

/** Something happened to a thing of a learner's. */
export abstract class LearnerEvent extends DomainEvent {
  constructor(
    readonly learnerId: string,
    readonly subjectId: string,
    override readonly changedFields: readonly string[] = [],
  ) {
    super();
  }
}

/** An event as it comes back from the outbox. */
export type EventPayload<E extends DomainEvent = DomainEvent> = Omit<E, 'topic'>;

export type EventType<E extends DomainEvent> = (abstract new (...args: never[]) => E) & { readonly topic: string };
