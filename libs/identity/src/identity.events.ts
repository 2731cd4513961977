import { DomainEvent, LearnerEvent } from '@studently/platform';

/** Something happened to a user; `endedSessions` are the ids of the sessions that ended with it. */
abstract class UserEvent extends DomainEvent {
  readonly subjectId: string;
  constructor(
    readonly learnerId: string,
    override readonly changedFields: readonly string[] = [],
    readonly endedSessions: readonly string[] = [],
  ) {
    super();
    this.subjectId = learnerId;
  }
}

export class UserRegistered extends UserEvent {
  static override readonly topic = 'user.registered';
}
export class UserChanged extends UserEvent {
  static override readonly topic = 'user.changed';
}
export class PasswordChanged extends UserEvent {
  static override readonly topic = 'user.password-changed';
}
/** The same password, kept under today's parameters. */
export class PasswordRehashed extends UserEvent {
  static override readonly topic = 'user.password-rehashed';
}
export class RoleChanged extends UserEvent {
  static override readonly topic = 'user.role-changed';
}
export class UserDeleted extends UserEvent {
  static override readonly topic = 'user.deleted';
}
export class ProfileChanged extends UserEvent {
  static override readonly topic = 'profile.changed';
}
export class ProfileDeleted extends UserEvent {
  static override readonly topic = 'profile.deleted';
}
export class SubscriptionChanged extends UserEvent {
  static override readonly topic = 'subscription.changed';
}
export class SubscriptionDeleted extends UserEvent {
  static override readonly topic = 'subscription.deleted';
}
export class SessionOpened extends UserEvent {
  static override readonly topic = 'session.opened';
}
export class SessionsRevoked extends UserEvent {
  static override readonly topic = 'session.revoked';
}
/** A value under `session:<id>` was not what this platform writes. */
export class SessionValueCorrupted extends UserEvent {
  static override readonly topic = 'session.corrupted';
}

export class GrantGiven extends LearnerEvent {
  static override readonly topic = 'grant.given';
}
export class GrantWithdrawn extends LearnerEvent {
  static override readonly topic = 'grant.withdrawn';
}

/** Something happened to what is no learner's. */
abstract class ServiceEvent extends DomainEvent {
  readonly learnerId = undefined;
  constructor(readonly subjectId: string) {
    super();
  }
}

export class ServiceAccountCreated extends ServiceEvent {
  static override readonly topic = 'service-account.created';
}
export class ServiceAccountDeleted extends ServiceEvent {
  static override readonly topic = 'service-account.deleted';
}
export class ServiceKeyAdded extends ServiceEvent {
  static override readonly topic = 'service-key.added';
}
export class ServiceKeyRemoved extends ServiceEvent {
  static override readonly topic = 'service-key.removed';
}
