import { DomainEvent, LearnerEvent } from '@studently/platform';

export class StudyItemAdded extends LearnerEvent {
  static override readonly topic = 'study-item.added';
}
export class StudyItemChanged extends LearnerEvent {
  static override readonly topic = 'study-item.changed';
}
export class StudyItemDeleted extends LearnerEvent {
  static override readonly topic = 'study-item.deleted';
}
export class StudyItemReviewed extends LearnerEvent {
  static override readonly topic = 'study-item.reviewed';
  constructor(
    learnerId: string,
    itemId: string,
    readonly reviewId: string,
  ) {
    super(learnerId, itemId, ['schedule']);
  }
}
export class ReviewUndone extends LearnerEvent {
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

export class ProgressRecorded extends LearnerEvent {
  static override readonly topic = 'progress.recorded';
}
export class ProgressChanged extends LearnerEvent {
  static override readonly topic = 'progress.changed';
}
export class ProgressDeleted extends LearnerEvent {
  static override readonly topic = 'progress.deleted';
}
