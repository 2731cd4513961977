import { DependencyAway, DomainError, IdTaken, translateConstraints, ValidationFailed } from '@studently/platform';
import { UserNotFound } from './chat.errors';

export class VectorInvalid extends DomainError {
  constructor(path: string, code: string, message: string) {
    super('invalid', 'VECTOR_INVALID', 'The vector cannot be used.', { faults: [{ path, code, message }] });
  }
}

export class DocumentTypeUnknown extends ValidationFailed {
  constructor() {
    super([{ path: 'type', code: 'unknown_type', message: 'There is no such type of document.' }]);
  }
}

const USE = 'Use type or metadata, and of operators $eq, $in (of 100 at most), $gt, $gte, $lt, $lte, $exists or $contains.';

export class FilterUnknown extends DomainError {
  constructor(keys: readonly string[]) {
    const faults = keys.map((key) => ({ path: `filter.${key}`, code: 'unknown_filter', message: USE }));
    super('invalid', 'FILTER_UNKNOWN', 'There is no such filter.', { faults });
  }
}

const UNAVAILABLE = [
  'EMBEDDINGS_UNAVAILABLE',
  'The text cannot be embedded now: try again shortly, or search by words.',
] as const;

/** The model was asked, and made nothing of these texts. */
export class EmbeddingsUnavailable extends DomainError {
  /** @param isOfAll it would have made nothing of any other text either */
  constructor(
    readonly failure: EmbeddingFailure,
    readonly isOfAll = false,
  ) {
    super('unavailable', ...UNAVAILABLE, { retryAfterSeconds: 1 });
  }
}

/** The model could not be asked: whoever has time waits. */
export class EmbeddingsAway extends DependencyAway {
  constructor(retryAfterSeconds = 1) {
    super(...UNAVAILABLE, retryAfterSeconds);
  }
}

export class DocumentNotReady extends DomainError {
  constructor() {
    super('conflict', 'DOCUMENT_NOT_READY', 'Only a document that is ready can be published: wait until its status says so.');
  }
}

/** Why a document has no embedding, as its view shows it. */
export type EmbeddingFailure =
  | 'EMBEDDING_FAILED' // the model gave up on it, each time
  | 'EMBEDDING_TIMEOUT' // the model did not answer, each time
  | 'EMBEDDING_REFUSED' // the model does not take it
  | 'EMBEDDING_MALFORMED' // what the model answers is no vector
  | 'EMBEDDING_WRONG_DIMENSION' // the model makes vectors of another length than asked for, or than before
  | 'NOTHING_TO_EMBED'; // no word in it that the model knows

translateConstraints({
  documents_pkey: () => new IdTaken(),
  documents_type: () => new DocumentTypeUnknown(),
  documents_user_id_fkey: () => new UserNotFound(),
});
