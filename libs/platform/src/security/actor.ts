export const ROLES = ['STUDENT', 'TEACHER', 'ADMIN', 'OPS', 'DPO'] as const;
export type Role = (typeof ROLES)[number];

/** On whose behalf something is done. Every command and every query carries one. */
export interface Actor {
  /** The learner whose rows are visible; undefined: nobody's. */
  readonly userId?: string;
  /** SYSTEM is the platform itself (relay, jobs): it sees the outbox and the audit log, and no learner. */
  readonly role: Role | 'SYSTEM';
  readonly sessionId?: string;
  /** Follows the request into the audit log. */
  readonly requestId?: string;
  /** Makes a command run once however often it is sent. */
  readonly idempotency?: Idempotency;
}

export interface Idempotency {
  /** Chosen by the caller; unique per caller for 24 h. */
  readonly key: string;
  /** 32 bytes that differ when the request differs. */
  readonly fingerprint: Buffer;
}

/** An actor who is logged in (or registering), so that there is a learner to act for. */
export type Learner = Actor & { readonly userId: string; readonly role: Role };

export const SYSTEM: Actor = { role: 'SYSTEM' };

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * The statements that make a transaction act for `actor`: its database role and the settings that the
 * row-level security policies read. SET LOCAL ends with the transaction, so nothing is left on a pooled
 * connection; literal values because SET takes no parameters (and Citus forwards SET LOCAL, not set_config).
 * @throws TypeError if the user id is not a lower-case uuid, which would make it more than a literal
 */
export function contextOf(actor: Actor): string {
  if (actor.userId !== undefined && !UUID.test(actor.userId)) throw new TypeError('An actor needs a uuid.');
  const databaseRole = actor.role === 'SYSTEM' ? 'studently_worker' : 'studently_app';
  return (
    `set local role ${databaseRole}; ` +
    `set local app.user_id = '${actor.userId ?? ''}'; ` +
    `set local app.role = '${actor.role}'`
  );
}
