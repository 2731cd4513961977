import { defineEntity, p } from '@mikro-orm/core';
import { ValidationFailed } from '@studently/platform';
import { User } from './user.entity';

export const SUBSCRIPTION_STATUSES = ['trialing', 'active', 'past_due', 'canceled', 'expired'] as const;

const SubscriptionSchema = defineEntity({
  name: 'Subscription',
  tableName: 'subscriptions',
  properties: {
    user: () =>
      p.manyToOne(User).primary().joinColumn('user_id').deleteRule('cascade').foreignKeyName('subscriptions_user_id_fkey'),
    id: p.uuid().primary().defaultRaw('uuid_generate_v4()'),
    plan: p.text(),
    status: p.enum(SUBSCRIPTION_STATUSES).columnType('text'),
    currentPeriodStart: p.datetime(3),
    currentPeriodEnd: p.datetime(3),
    cancelAtPeriodEnd: p.boolean().default(false),
    externalRef: p.text().nullable(),
    createdAt: p.datetime(3).defaultRaw('now()'),
    updatedAt: p.datetime(3).defaultRaw('now()'),
    version: p.integer().version().default(1),
  },
  uniques: [{ name: 'subscriptions_one_per_user', properties: ['user'] }],
  checks: [
    { name: 'subscriptions_plan_check', expression: 'length(plan) >= 1 and length(plan) <= 64' },
    { name: 'subscriptions_external_ref_check', expression: 'length(external_ref) >= 1 and length(external_ref) <= 255' },
    { name: 'subscriptions_period', expression: 'current_period_end > current_period_start' },
  ],
});

export interface SubscriptionFields {
  plan: string;
  status: (typeof SUBSCRIPTION_STATUSES)[number];
  currentPeriodStart: Date;
  currentPeriodEnd: Date;
  cancelAtPeriodEnd: boolean;
  externalRef?: string | null;
}

/** What a user has subscribed to. Payments are somebody else's; `externalRef` is their id for it. */
export class Subscription extends SubscriptionSchema.class {
  static of(user: User, id: string, fields: SubscriptionFields): Subscription {
    const subscription = Object.assign(new Subscription(), { user, id });
    subscription.replace(fields);
    return subscription;
  }

  /** @throws ValidationFailed if the period ends before it starts */
  replace({ externalRef = null, ...fields }: SubscriptionFields): void {
    if (fields.currentPeriodEnd <= fields.currentPeriodStart) {
      throw new ValidationFailed([
        { path: 'currentPeriodEnd', code: 'before_start', message: 'The period has to end after it starts.' },
      ]);
    }
    Object.assign(this, fields, { externalRef });
  }
}
SubscriptionSchema.setClass(Subscription);
