import { asView, forgottenBy, sealedJson, type ReadModel, type Role } from '@studently/platform';
import type { JsonObject } from '../domain/merge-patch';
import type { SUBSCRIPTION_STATUSES } from '../domain/subscription.entity';
import {
  PasswordChanged,
  PasswordRehashed,
  ProfileChanged,
  ProfileDeleted,
  RoleChanged,
  SubscriptionChanged,
  SubscriptionDeleted,
  UserChanged,
  UserDeleted,
  UserRegistered,
} from '../identity.events';

export interface ProfileView {
  id: string;
  firstName: string;
  lastName: string;
  preferences: JsonObject;
  createdAt: string;
  updatedAt: string;
  version: number;
}

export interface SubscriptionView {
  id: string;
  plan: string;
  status: (typeof SUBSCRIPTION_STATUSES)[number];
  currentPeriodStart: string;
  currentPeriodEnd: string;
  cancelAtPeriodEnd: boolean;
  externalRef: string | null;
  createdAt: string;
  updatedAt: string;
  version: number;
}

export interface UserView {
  id: string;
  email: string;
  role: Role;
  profile: ProfileView | null;
  subscription: SubscriptionView | null;
  createdAt: string;
  updatedAt: string;
  version: number;
}

const STAMPS = (table: string) =>
  `iso8601(${table}.created_at) as "createdAt", iso8601(${table}.updated_at) as "updatedAt", ${table}.version`;

const PROFILE = `
  select p.id, ${sealedJson('profiles.first_name', 'p')} as "firstName",
    ${sealedJson('profiles.last_name', 'p')} as "lastName", p.preferences, ${STAMPS('p')}
  from profiles p where p.user_id = `;

const SUBSCRIPTION = `
  select s.id, s.plan, s.status, iso8601(s.current_period_start) as "currentPeriodStart",
    iso8601(s.current_period_end) as "currentPeriodEnd", s.cancel_at_period_end as "cancelAtPeriodEnd",
    s.external_ref as "externalRef", ${STAMPS('s')}
  from subscriptions s where s.user_id = `;

/** Users as they are shown; a condition on `u` may follow. */
export const USERS = `
  select u.id, u.email, u.role,
    (select row_to_json(profile) from (${PROFILE} u.id) profile) as profile,
    (select row_to_json(subscription) from (${SUBSCRIPTION} u.id) subscription) as subscription,
    ${STAMPS('u')}
  from users u`;

const TAG = 'user';
const userChanges = [
  UserRegistered,
  UserChanged,
  PasswordChanged,
  PasswordRehashed,
  RoleChanged,
  UserDeleted,
  ProfileChanged,
  ProfileDeleted,
  SubscriptionChanged,
  SubscriptionDeleted,
].map((type) => forgottenBy(type, () => [TAG]));

/** The user with profile and subscription. */
export const userModel: ReadModel<void, UserView> = {
  sql: asView(`${USERS} where u.id = $1`),
  values: (userId) => [userId],
  key: () => 'user',
  tag: () => TAG,
  forgottenBy: userChanges,
};

export const profileModel: ReadModel<void, ProfileView> = {
  sql: asView(`${PROFILE} $1`),
  values: (userId) => [userId],
  key: () => 'profile',
  tag: () => TAG,
  forgottenBy: [], // its tag is dropped by the user's
};

export const subscriptionModel: ReadModel<void, SubscriptionView> = {
  sql: asView(`${SUBSCRIPTION} $1`),
  values: (userId) => [userId],
  key: () => 'subscription',
  tag: () => TAG,
  forgottenBy: [], // its tag is dropped by the user's
};
