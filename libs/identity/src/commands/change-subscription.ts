import { randomUUID } from 'node:crypto';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { expectVersion, NotFound, UnitOfWork, type Learner, type Written } from '@studently/platform';
import { Subscription, type SubscriptionFields } from '../domain/subscription.entity';
import { SubscriptionChanged, SubscriptionDeleted } from '../identity.events';
import { subscriptionModel, type SubscriptionView } from '../queries/user.read-model';
import { lockUser } from './locking';

/** Puts a subscription in place, whether there was one or not; for ADMIN. */
export class PutSubscription extends Command<Written<SubscriptionView>> {
  constructor(
    readonly actor: Learner,
    readonly userId: string,
    readonly subscription: SubscriptionFields,
    readonly ifMatch?: string,
  ) {
    super();
  }
}

export class DeleteSubscription extends Command<Written<void>> {
  constructor(
    readonly actor: Learner,
    readonly userId: string,
    readonly ifMatch?: string,
  ) {
    super();
  }
}

@CommandHandler(PutSubscription)
export class PutSubscriptionHandler implements ICommandHandler<PutSubscription> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, userId, subscription, ifMatch }: PutSubscription): Promise<Written<SubscriptionView>> {
    return this.unitOfWork.run<SubscriptionView>(actor, async (tx) => {
      const user = await lockUser(tx, userId);
      const existing = await tx.em.findOne(Subscription, { user });
      expectVersion(existing, ifMatch);
      if (existing) existing.replace(subscription);
      else tx.em.persist(Subscription.of(user, randomUUID(), subscription));
      tx.record(new SubscriptionChanged(userId, Object.keys(subscription)));
      return tx.view(subscriptionModel, userId, undefined);
    });
  }
}

@CommandHandler(DeleteSubscription)
export class DeleteSubscriptionHandler implements ICommandHandler<DeleteSubscription> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, userId, ifMatch }: DeleteSubscription): Promise<Written<void>> {
    return this.unitOfWork.run(actor, async (tx) => {
      const user = await lockUser(tx, userId);
      const subscription = await tx.em.findOne(Subscription, { user });
      if (!subscription) throw new NotFound('subscription');
      expectVersion(subscription, ifMatch);
      tx.em.remove(subscription);
      tx.record(new SubscriptionDeleted(userId));
    });
  }
}
