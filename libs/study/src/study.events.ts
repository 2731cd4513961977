import { DomainEvent } from '@studently/platform';

/** Something happened to a study item. */
abstract class StudyItemEvent extends DomainEvent {
  constructor(
    readonly learnerId: string,
    /** The item's id. */
    readonly subjectId: string,
    override readonly changedFields: readonly string[] = [],
  ) {
    super();
  }
}

export class StudyItemAdded extends StudyItemEvent {
  static override readonly topic = 'study-item.added';
}
export class StudyItemChanged extends StudyItemEvent {
  static override readonly topic = 'study-item.changed';
}
export class StudyItemDeleted extends StudyItemEvent {
  static override readonly topic = 'study-item.deleted';
}
export class StudyItemReviewed extends StudyItemEvent {
  static override readonly topic = 'study-item.reviewed';
  constructor(
    learnerId: string,
    itemId: string,
    readonly reviewId: string,
  ) {
    super(learnerId, itemId, ['schedule']);
  }
}
export class ReviewUndone extends StudyItemEvent {
  static override readonly topic = 'study-item.review-undone';
  constructor(
    learnerId: string,
    itemId: string,
    readonly reviewId: string,
  ) {
    super(learnerId, itemId, ['schedule']);
  }
}

/** Items have been added in one go. */
export class StudyItemsImported extends DomainEvent {
  static override readonly topic = 'study-item.imported';
  constructor(
    readonly learnerId: string,
    readonly items: number,
  ) {
    super();
  }
  /** The learner: there are too many items to name. */
  get subjectId(): string {
    return this.learnerId;
  }
}

/** Something happened to an entry of the learner's progress. */
abstract class ProgressEvent extends DomainEvent {
  constructor(
    readonly learnerId: string,
    /** The entry's id. */
    readonly subjectId: string,
    override readonly changedFields: readonly string[] = [],
  ) {
    super();
  }
}

export class ProgressRecorded extends ProgressEvent {
  static override readonly topic = 'progress.recorded';
}
export class ProgressChanged extends ProgressEvent {
  static override readonly topic = 'progress.changed';
}
export class ProgressDeleted extends ProgressEvent {
  static override readonly topic = 'progress.deleted';
}
