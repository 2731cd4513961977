import { DomainError, IdTaken, translateConstraints, ValidationFailed, type FieldFault } from '@studently/platform';

export class EmailTaken extends DomainError {
  constructor() {
    super('conflict', 'EMAIL_TAKEN', 'This e-mail address is already registered.');
  }
}

/** What processes remember of whoever had the id must not come to somebody else. */
export class IdRests extends DomainError {
  constructor() {
    const message = 'The user who had this id was deleted within the last hour: choose another id, or come back later.';
    super('conflict', 'ID_TAKEN', message);
  }
}

export class ProfileExists extends DomainError {
  constructor() {
    super('conflict', 'PROFILE_EXISTS', 'This user has a profile already.');
  }
}

export class SubscriptionExists extends DomainError {
  constructor() {
    super('conflict', 'SUBSCRIPTION_EXISTS', 'This user has a subscription already.');
  }
}

export class NameTaken extends DomainError {
  constructor() {
    super('conflict', 'NAME_TAKEN', 'There is a service account of this name already.');
  }
}

export class GrantExists extends DomainError {
  constructor() {
    super('conflict', 'GRANT_EXISTS', 'This teacher has a grant already: withdraw it to give another one.');
  }
}

/** Nobody of that id, or not a TEACHER: which of them is not told. */
export class NotATeacher extends DomainError {
  constructor() {
    const message = 'There is no other user of this id who is a TEACHER.';
    super('invalid', 'NOT_A_TEACHER', message, { faults: [{ path: 'teacherId', code: 'not_a_teacher', message }] });
  }
}

export class UserNotFound extends DomainError {
  constructor() {
    super('not-found', 'USER_NOT_FOUND', 'There is no such user.');
  }
}

export class ExpiresInThePast extends ValidationFailed {
  constructor() {
    super([{ path: 'expiresAt', code: 'in_the_past', message: 'Let the key expire in the future.' }]);
  }
}

export class LastAdmin extends DomainError {
  constructor() {
    super('conflict', 'LAST_ADMIN', 'The last ADMIN can be neither deleted nor given another role: appoint another one first.');
  }
}

export class InvalidCredentials extends DomainError {
  constructor() {
    super('unauthenticated', 'INVALID_CREDENTIALS', 'The e-mail address or the password is not right.');
  }
}

export class Unauthenticated extends DomainError {
  constructor() {
    super(
      'unauthenticated',
      'UNAUTHENTICATED',
      'Log in with POST /v1/sessions and send the token as "Authorization: Bearer <token>".',
    );
  }
}

export class SessionRevoked extends DomainError {
  constructor() {
    super('unauthenticated', 'SESSION_REVOKED', 'This session has been ended: log in again.');
  }
}

/** More logins at once than this process can hash for. */
export class LoginBusy extends DomainError {
  constructor() {
    super('unavailable', 'LOGIN_BUSY', 'Too many people are logging in right now: try again in a moment.', {
      retryAfterSeconds: 2,
    });
  }
}

export class PasswordRefused extends DomainError {
  constructor(faults: FieldFault[]) {
    super('invalid', 'PASSWORD_POLICY', 'The password is not acceptable.', { faults });
  }
}

translateConstraints({
  users_id_rests: () => new IdRests(),
  users_pkey: () => new IdTaken(),
  user_emails_pkey: () => new EmailTaken(),
  profiles_one_per_user: () => new ProfileExists(),
  subscriptions_one_per_user: () => new SubscriptionExists(),
  service_accounts_one_per_name: () => new NameTaken(),
  grants_pkey: () => new IdTaken(),
  grants_one_per_teacher: () => new GrantExists(),
  grants_to_somebody_else: () => new NotATeacher(),
  grants_user_id_fkey: () => new UserNotFound(),
  sessions_user_id_fkey: () => new Unauthenticated(),
  idempotency_keys_user_id_fkey: () => new UserNotFound(),
  import_batches_user_id_fkey: () => new UserNotFound(),
  service_keys_lifetime: () => new ExpiresInThePast(),
});
