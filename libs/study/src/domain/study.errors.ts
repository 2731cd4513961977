import { DomainError, IdTaken, translateConstraints, ValidationFailed } from '@studently/platform';

export class TypeUnknown extends ValidationFailed {
  constructor(known?: readonly string[]) {
    const others = known ? `; there are ${known.join(', ')}` : ' any more';
    super([{ path: 'type', code: 'unknown_type', message: `There is no such type${others}.` }]);
  }
}

export class ContentTooLarge extends ValidationFailed {
  constructor(most: number) {
    super([{ path: 'content', code: 'too_big', message: `Content has at most ${most} characters, as JSON.` }]);
  }
}

/** Somebody has put a row into study_item_types whose schema is none. */
export class TypeBroken extends DomainError {
  constructor(type: string) {
    super('unavailable', 'STUDY_TYPE_BROKEN', `The schema of type ${type} is not a valid JSON Schema: mend study_item_types.`, {
      retryAfterSeconds: 60,
    });
  }
}

export class ReviewInFuture extends DomainError {
  constructor() {
    super('invalid', 'REVIEW_IN_FUTURE', 'A review cannot lie in the future.', {
      faults: [{ path: 'reviewedAt', code: 'in_future', message: 'This is more than 5 minutes ahead of our clock.' }],
    });
  }
}

/** A client's clock may be this far from ours. */
export const CLOCK_SKEW_MS = 5 * 60 * 1000;

export class ClockSkew extends DomainError {
  constructor() {
    super('invalid', 'CLOCK_SKEW', 'Progress is recorded when it is made: leave out the timestamp, or set your clock.', {
      faults: [{ path: 'timestamp', code: 'clock_skew', message: 'This is more than 5 minutes away from our clock.' }],
    });
  }
}

export class NothingToUndo extends DomainError {
  constructor() {
    super('conflict', 'NOTHING_TO_UNDO', 'This item has no review that could be undone.');
  }
}

export class RangeTooLarge extends DomainError {
  constructor(limit: string) {
    super('invalid', 'RANGE_TOO_LARGE', `This range is too large: ask for at most ${limit}.`);
  }
}

export class UserNotFound extends DomainError {
  constructor() {
    super('not-found', 'USER_NOT_FOUND', 'There is no such user.');
  }
}

translateConstraints({
  progress_pkey: () => new IdTaken(),
  progress_user_id_fkey: () => new UserNotFound(),
  study_items_user_id_fkey: () => new UserNotFound(),
  study_items_pkey: () => new IdTaken(),
  study_items_type: () => new TypeUnknown(),
  study_reviews_pkey: () => new IdTaken(),
});
