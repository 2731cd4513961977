import { ROLES } from '@studently/platform';
import { Preferences, PreferencesPatch, SUBSCRIPTION_STATUSES } from '@studently/identity';
import { z } from 'zod';
import { Id, JsonObject, PageQuery, text, Time, TimeInput } from '../http/schemas';

const Email = z.string().trim().max(254).pipe(z.email());
/** The rules for a new password are the domain's; here is only what could not be a password at all. */
const Password = text(1, 1024);
export const RoleName = z.enum(ROLES);

const Name = z.string().trim().min(1).max(100);

export const ProfileBody = z
  .object({ firstName: Name, lastName: Name, preferences: Preferences.optional() })
  .meta({ example: { firstName: 'Grace', lastName: 'Hopper', preferences: { timeZone: 'Europe/Berlin' } } });
export const ProfilePatch = ProfileBody.extend({ preferences: PreferencesPatch })
  .partial()
  .meta({ example: { preferences: { dayStartsAt: '04:00' } } });

export const RegistrationBody = z
  .object({
    id: Id.optional(),
    email: Email,
    password: Password,
    profile: ProfileBody.optional(),
  })
  .meta({ example: { email: 'grace@example.org', password: 'correct horse battery staple' } });

export const UserPatch = z
  .object({ email: Email.optional(), profile: ProfilePatch.optional() })
  .meta({ example: { profile: { firstName: 'Grace' } } });
export const PasswordBody = z
  .object({ currentPassword: Password, newPassword: Password })
  .meta({ example: { currentPassword: 'correct horse battery staple', newPassword: 'incorrect zebra battery clip' } });
export const RoleBody = z.object({ role: RoleName }).meta({ example: { role: 'TEACHER' } });
export const LoginBody = z
  .object({ email: text(1, 254), password: Password })
  .meta({ example: { email: 'grace@example.org', password: 'correct horse battery staple' } });
export const UsersQuery = PageQuery.extend({ role: RoleName.optional(), email: text(1, 254).optional() });

const moment = TimeInput.transform((value) => new Date(value));
export const SubscriptionBody = z
  .object({
    plan: text(1, 64),
    status: z.enum(SUBSCRIPTION_STATUSES),
    currentPeriodStart: moment,
    currentPeriodEnd: moment,
    cancelAtPeriodEnd: z.boolean().default(false),
    externalRef: text(1, 255).nullish(),
  })
  .meta({
    example: {
      plan: 'plus',
      status: 'active',
      currentPeriodStart: '2026-12-01T00:00:00Z',
      currentPeriodEnd: '2027-01-01T00:00:00Z',
    },
  });

const stamps = { createdAt: Time, updatedAt: Time, version: z.int() };

export const ProfileAnswer = z.object({
  id: Id,
  firstName: z.string(),
  lastName: z.string(),
  preferences: JsonObject,
  ...stamps,
});

export const SubscriptionAnswer = z.object({
  id: Id,
  plan: z.string(),
  status: z.enum(SUBSCRIPTION_STATUSES),
  currentPeriodStart: Time,
  currentPeriodEnd: Time,
  cancelAtPeriodEnd: z.boolean(),
  externalRef: z.string().nullable(),
  ...stamps,
});

export const UserAnswer = z.object({
  id: Id,
  email: z.string(),
  role: RoleName,
  profile: ProfileAnswer.nullable(),
  subscription: SubscriptionAnswer.nullable(),
  ...stamps,
});

export const LoginAnswer = z.object({ token: z.string(), userId: Id, role: RoleName, expiresAt: Time });
export const SessionAnswer = z.object({ id: Id, createdAt: Time, expiresAt: Time, current: z.boolean() });
