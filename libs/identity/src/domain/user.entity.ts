import { defineEntity, p } from '@mikro-orm/core';
import { ROLES, type Role } from '@studently/platform';
import { LastAdmin } from './identity.errors';
import { normaliseEmail } from './email';

const UserSchema = defineEntity({
  name: 'User',
  tableName: 'users',
  properties: {
    id: p.uuid().primary().defaultRaw('uuid_generate_v4()'),
    email: p.text(),
    passwordHash: p.text().lazy(),
    role: p.enum(ROLES).columnType('text').default('STUDENT'),
    sessionEpoch: p
      .integer()
      .default(1)
      .comment('Sessions of an earlier epoch have ended: it moves with the password and the role.'),
    createdAt: p.datetime(3).defaultRaw('now()'),
    updatedAt: p.datetime(3).defaultRaw('now()'),
    version: p.integer().version().default(1),
  },
  checks: [
    { name: 'users_email_check', expression: 'length(email) >= 3 and length(email) <= 254' },
    { name: 'users_password_hash_check', expression: `password_hash ~~ '$argon2id$%'::text` },
    { name: 'users_session_epoch_check', expression: 'session_epoch >= 1' },
  ],
  indexes: [
    { name: 'users_newest', expression: 'create index users_newest on users (created_at desc, id desc)' },
    { name: 'users_by_role', expression: 'create index users_by_role on users (role, created_at desc, id desc)' },
  ],
});

/** Somebody with an account. The password is known here only as its argon2id hash. */
export class User extends UserSchema.class {
  static register(id: string, email: string, passwordHash: string, role: Role = 'STUDENT'): User {
    return Object.assign(new User(), { id, email: email.normalize('NFC').trim(), passwordHash, role, sessionEpoch: 1 });
  }

  changeEmail(email: string): void {
    this.email = email.normalize('NFC').trim();
  }

  /** Sessions that were opened with the old password end. */
  changePassword(passwordHash: string): void {
    this.passwordHash = passwordHash;
    this.sessionEpoch += 1;
  }

  /** The same password, hashed with more effort: nothing ends. */
  rehash(passwordHash: string): void {
    this.passwordHash = passwordHash;
  }

  /**
   * Gives another role; sessions that were opened under the old one end.
   * @param admins how many ADMINs there are, counted under a lock
   * @throws LastAdmin
   */
  changeRole(role: Role, admins: number): void {
    if (role !== 'ADMIN') this.assertDispensable(admins);
    this.role = role;
    this.sessionEpoch += 1;
  }

  /** @throws LastAdmin if there would be no ADMIN without this user */
  assertDispensable(admins: number): void {
    if (this.role === 'ADMIN' && admins <= 1) throw new LastAdmin();
  }
}
UserSchema.setClass(User);

const EmailClaimSchema = defineEntity({
  name: 'EmailClaim',
  tableName: 'user_emails',
  properties: {
    email: p.text().primary(),
    user: () =>
      p
        .oneToOne(User)
        .owner()
        .unique(false)
        .joinColumn('user_id')
        .deleteRule('cascade')
        .foreignKeyName('user_emails_user_id_fkey'),
  },
  comment: 'Normalised e-mail addresses: NFC, trimmed, lower case.',
  uniques: [{ name: 'user_emails_one_per_user', properties: ['user'] }],
  checks: [{ name: 'user_emails_email_check', expression: 'email = lower(email)' }],
});

/** "This address, in any spelling, is mine." Unique over all users. */
export class EmailClaim extends EmailClaimSchema.class {
  static of(user: User): EmailClaim {
    return Object.assign(new EmailClaim(), { email: normaliseEmail(user.email), user });
  }
}
EmailClaimSchema.setClass(EmailClaim);
