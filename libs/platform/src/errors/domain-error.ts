/** What went wrong, in the words of the domain. Each entry point translates a kind into its own terms (HTTP: a status). */
export type ErrorKind =
  | 'malformed' // the request cannot even be read
  | 'invalid' // the request cannot be carried out as it is written
  | 'unauthenticated'
  | 'forbidden'
  | 'not-found'
  | 'conflict'
  | 'precondition-failed' // the caller's version is not the current one
  | 'rate-limited' // too often: try again when the window ends
  | 'unavailable'; // a dependency is down or overloaded: try again later

/** One fault of a request. `path` names the field, in dots: `profile.firstName`. */
export interface FieldFault {
  path: string;
  code: string;
  message: string;
}

/** An error with a stable code. It knows nothing of HTTP, and its message may be shown to the caller. */
export class DomainError extends Error {
  constructor(
    readonly kind: ErrorKind,
    readonly code: string,
    message: string,
    readonly details: { faults?: FieldFault[]; retryAfterSeconds?: number } = {},
  ) {
    super(message);
    this.name = new.target.name;
  }
}

export class NotFound extends DomainError {
  constructor(what: string) {
    super('not-found', 'NOT_FOUND', `There is no such ${what}.`);
  }
}

export class Forbidden extends DomainError {
  constructor(message: string) {
    super('forbidden', 'FORBIDDEN', message);
  }
}

export class ValidationFailed extends DomainError {
  constructor(faults: FieldFault[]) {
    super('invalid', 'VALIDATION_FAILED', 'The request is not valid.', { faults });
  }
}

/** The resource has moved on since the caller read it. */
export class VersionMismatch extends DomainError {
  constructor() {
    super('precondition-failed', 'VERSION_MISMATCH', 'The resource has changed since you read it: read it again.');
  }
}

/**
 * For If-Match: checks the ETag that the caller has read, if the caller has said one. It is the version with
 * the time of creation, as in every read model: a resource that was deleted and made again begins at version 1 again.
 * @throws VersionMismatch
 */
export function expectVersion(resource: { version: number; createdAt: Date } | null, ifMatch: string | undefined): void {
  expectEtag(resource ? `${resource.version}@${resource.createdAt.toISOString()}` : undefined, ifMatch);
}

/**
 * What is not there has no ETag: whoever wants to change one, even any (`*`), does not bring it back.
 * @param ifMatch those that the caller takes, by comma
 * @throws VersionMismatch
 */
export function expectEtag(etag: string | undefined, ifMatch: string | undefined): void {
  if (ifMatch === undefined) return;
  const taken = ifMatch.split(',').map((one) => one.trim());
  if (etag === undefined || !(taken.includes(etag) || taken.includes('*'))) throw new VersionMismatch();
}

/** The id is taken by something else than what the caller wants to create. */
export class IdTaken extends DomainError {
  constructor() {
    super('conflict', 'ID_TAKEN', 'This id is already in use with another content.');
  }
}

/** Something that is needed is away, or has no room now. It is nobody's failure: a job that meets it waits, and counts as not tried. */
export class DependencyAway extends DomainError {
  constructor(code: string, message: string, retryAfterSeconds: number) {
    super('unavailable', code, message, { retryAfterSeconds });
  }
}

export class DatabaseUnavailable extends DomainError {
  constructor(code: 'DATABASE_UNAVAILABLE' | 'DATABASE_OVERLOADED' | 'DATABASE_TIMEOUT', cause: unknown) {
    super('unavailable', code, 'The database cannot answer now: try again shortly.', { retryAfterSeconds: 1 });
    this.cause = cause;
  }
}
