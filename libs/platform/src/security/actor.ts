export const ROLES = ['STUDENT', 'TEACHER', 'ADMIN', 'OPS', 'DPO'] as const;
export type Role = (typeof ROLES)[number];

/** On whose behalf something is done. Every command and every query carries one. */
export interface Actor {
  /** The learner whose rows are visible; undefined: nobody's. */
  readonly userId?: string;
  /** SYSTEM is the platform itself (relay, jobs): it sees the outbox and the audit log, and no learner. */
  readonly role: Role | 'SERVICE' | 'SYSTEM';
  readonly sessionId?: string;
  /** In milliseconds since 1970, with `sessionId`. */
  readonly sessionExpiresAt?: number;
  /** The service account that acts for `userId`; its role is SERVICE. */
  readonly serviceId?: string;
  /** A learner whom a TEACHER reads, within what the learner has granted. */
  readonly learnerId?: string;
  /** Follows the request into the audit log. */
  readonly requestId?: string;
  /** Makes a command run once however often it is sent. */
  readonly idempotency?: Idempotency;
  /** The job that a command does: it ends in the command's transaction. */
  readonly job?: JobToken;
}

/** The row of `jobs` that is removed with the effect. */
export interface JobToken {
  readonly id: string;
  /** Whether that is committed. */
  isDone: boolean;
}

export interface Idempotency {
  /** Chosen by the caller; unique per caller for 24 h. */
  readonly key: string;
  /** 32 bytes that differ when the request differs. */
  readonly fingerprint: Buffer;
}

/** An actor who is logged in (or registering), so that there is a learner to act for. */
export type Learner = Actor & { readonly userId: string; readonly role: Role | 'SERVICE' };

/** Whose rows a query is about: the actor's own, or those of the learner whom the actor reads. */
export const ownerOf = ({ userId, learnerId }: Learner): string => learnerId ?? userId;

/** For the audit log: who did it, in which role, and on whose behalf. */
export const whoActs = ({ userId, role, serviceId }: Actor): [id: string | null, role: string, onBehalfOf: string | null] =>
  serviceId === undefined ? [userId ?? null, role, null] : [serviceId, role, userId ?? null];

export const SYSTEM: Actor = { role: 'SYSTEM' };

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * The statements that make a transaction act for `actor`: its database role and the settings that the
 * row-level security policies read. SET LOCAL ends with the transaction, so nothing is left on a pooled
 * connection; literal values because SET takes no parameters (and Citus forwards SET LOCAL, not set_config).
 * @throws TypeError as `expectUuids`
 */
export function contextOf(actor: Actor): string {
  expectUuids(actor);
  return (
    `set local role ${databaseRoleOf(actor)}; ` +
    (actor.learnerId === undefined ? '' : `set local app.learner_id = '${actor.learnerId}'; `) +
    `set local app.user_id = '${actor.userId ?? ''}'; ` +
    `set local app.role = '${actor.role}'`
  );
}

/** @throws TypeError if an id is not a lower-case uuid, which would make it more than a part of a statement, or of a key */
export function expectUuids({ userId, learnerId }: Actor): void {
  for (const id of [userId, learnerId]) {
    if (id !== undefined && !UUID.test(id)) throw new TypeError('An actor needs a uuid.');
  }
}

function databaseRoleOf({ role, learnerId }: Actor): string {
  if (role === 'SYSTEM') return 'studently_worker';
  return learnerId === undefined ? 'studently_app' : 'studently_teacher';
}
