import { createHash } from 'node:crypto';
import { isLockTimeout } from '../errors/database-errors';
import { DomainError } from '../errors/domain-error';
import { Written } from '../view';
import type { Actor, Idempotency } from '../security/actor';
import type { Transaction } from './transaction';

export class IdempotencyKeyReused extends DomainError {
  constructor() {
    super('invalid', 'IDEMPOTENCY_KEY_REUSED', 'This Idempotency-Key was used for another request: choose a new one.');
  }
}

export class IdempotencyInProgress extends DomainError {
  constructor() {
    super('conflict', 'IDEMPOTENCY_IN_PROGRESS', 'The first request with this Idempotency-Key is still running.', {
      retryAfterSeconds: 1,
    });
  }
}

interface KeptAnswer {
  id: string;
  fingerprint: Buffer;
  answer: string | null;
  answer_sealed: Buffer | null;
  answer_etag: string | null;
  read_token: string;
  existed: boolean;
}

/** A learner's own key, or that of a service that acts for the learner: a key has no space. */
const keyId = (key: string, { serviceId }: Actor) =>
  createHash('sha256')
    .update(serviceId === undefined ? key : `${serviceId} ${key}`)
    .digest()
    .subarray(0, 16)
    .toString('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');

/** A learner's command, under a key. */
export const keepsAnswer = (actor: Actor): actor is Actor & { userId: string; idempotency: Idempotency } =>
  actor.idempotency !== undefined && actor.userId !== undefined;

/**
 * Claims the caller's key in the command's own transaction, so that a crash frees it. A second request
 * with the key waits here until the first has ended.
 * @returns the first answer, if there is one already
 */
export async function claimIdempotency<T>(tx: Transaction): Promise<Written<T> | undefined> {
  if (!keepsAnswer(tx.actor)) return undefined;
  const { idempotency, userId } = tx.actor;
  const id = keyId(idempotency.key, tx.actor);
  try {
    const claimed = await tx.query(
      `insert into idempotency_keys as k (user_id, id, fingerprint) values ($1, $2, $3)
       on conflict (user_id, id) do update
         set fingerprint = excluded.fingerprint, answer = null, answer_sealed = null, answer_etag = null, read_token = null,
             existed = false, created_at = now()
         where k.created_at < now() - interval '24 hours'
       returning id`,
      [userId, id, idempotency.fingerprint],
    );
    if (claimed.length > 0) return undefined;
  } catch (error) {
    throw isLockTimeout(error) ? new IdempotencyInProgress() : error;
  }
  const [kept] = await tx.query<KeptAnswer>(
    `select id, fingerprint, answer, answer_sealed, answer_etag, read_token, existed
     from idempotency_keys where user_id = $1 and id = $2`,
    [userId, id],
  );
  if (!kept) throw new IdempotencyInProgress(); // it has just expired or been freed: the caller may try again
  if (!idempotency.fingerprint.equals(kept.fingerprint)) throw new IdempotencyKeyReused();
  return new Written<T>(await answerOf(tx, userId, kept), kept.answer_etag ?? undefined, kept.read_token, kept.existed, true);
}

/** Those of before it was sealed are readable. */
async function answerOf(tx: Transaction, userId: string, kept: KeptAnswer): Promise<string> {
  const { id, answer, answer_sealed: sealed } = kept;
  return sealed ? (await tx.cipher(userId)).open('idempotency_keys.answer', id, sealed) : answer!;
}

/** Keeps the answer, sealed, under the claimed key: the last statement of the same transaction. */
export async function keepAnswer(tx: Transaction, written: Written<unknown>): Promise<void> {
  if (!keepsAnswer(tx.actor)) return;
  const { idempotency, userId } = tx.actor;
  const id = keyId(idempotency.key, tx.actor);
  await tx.last(
    `update idempotency_keys set answer_sealed = $3, answer_etag = $4, read_token = $5, existed = $6
     where user_id = $1 and id = $2`,
    [
      userId,
      id,
      (await tx.cipher(userId)).seal('idempotency_keys.answer', id, written.json.toString()),
      written.etag ?? null,
      written.readToken,
      written.existed,
    ],
  );
}
