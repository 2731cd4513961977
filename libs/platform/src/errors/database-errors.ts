import { tlsFaultOf } from '../security/tls-faults';
import { DatabaseUnavailable, DomainError } from './domain-error';

type Translation = () => DomainError;

const byConstraint = new Map<string, Translation>();

/** Says in the words of the domain what it means that a constraint is violated. */
export function translateConstraints(translations: Record<string, Translation>): void {
  for (const [constraint, translation] of Object.entries(translations)) byConstraint.set(constraint, translation);
}

/** The fields of a PostgreSQL error, wherever a wrapper (the ORM, the driver) has put them. */
interface PostgresFault {
  code?: string;
  constraint?: string;
  message?: string;
}

function postgresFault(error: unknown): PostgresFault {
  const seen = new Set<unknown>();
  for (let at = error; at instanceof Error && !seen.has(at); at = at.cause) {
    seen.add(at);
    if ('code' in at && typeof at.code === 'string') return at as PostgresFault;
  }
  return error instanceof Error ? { message: error.message } : {};
}

/** Serialization failure or deadlock: the whole transaction may run again. */
export function isRetryable(error: unknown): boolean {
  const { code } = postgresFault(error);
  return code === '40001' || code === '40P01';
}

/** A lock was not granted within `lock_timeout`. */
export function isLockTimeout(error: unknown): boolean {
  return postgresFault(error).code === '55P03';
}

const UNREACHABLE = new Set([
  ...['ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ENOENT', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN'],
  ...['EHOSTUNREACH', 'EHOSTDOWN', 'ENETUNREACH', 'ENETDOWN'],
]);
const LOST = /Connection terminated|Client has encountered a connection error|timeout exceeded when trying to connect/;

/**
 * A database error as a DomainError where it has a meaning for the caller: a known constraint, a lost
 * connection (class 08, 57P0x), a login or a certificate that is not accepted (class 28), too many connections (53300), a timeout (57014). Anything else stays what it is.
 * @see https://www.postgresql.org/docs/15/errcodes-appendix.html
 */
export function translateDatabaseError(error: unknown): unknown {
  if (error instanceof DomainError) return error;
  const { code = '', constraint, message = '' } = postgresFault(error);
  const translation = constraint === undefined ? undefined : byConstraint.get(constraint);
  if (translation) return translation();
  if (code === '53300' || code.startsWith('53')) return new DatabaseUnavailable('DATABASE_OVERLOADED', error);
  if (code === '57014' || code === '55P03' || isRetryable(error) || message === 'Query read timeout') {
    return new DatabaseUnavailable('DATABASE_TIMEOUT', error);
  }
  if (
    tlsFaultOf(error) ||
    code.startsWith('28') ||
    code.startsWith('08') ||
    code.startsWith('57P0') ||
    code === '25006' ||
    UNREACHABLE.has(code) ||
    LOST.test(message)
  ) {
    return new DatabaseUnavailable('DATABASE_UNAVAILABLE', error);
  }
  return error;
}
