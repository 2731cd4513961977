import { randomUUID } from 'node:crypto';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { NotFound, UnitOfWork, View, type Learner, type Written } from '@studently/platform';
import type { ServiceScope } from '../domain/scopes';
import { ServiceAccountCreated, ServiceAccountDeleted } from '../identity.events';
import { ACCOUNTS, type ServiceAccountView } from '../queries/list-service-accounts';
import { keepNewKey, withoutReplay } from './service-keys';

/** An account for another part of StudentlyAI, with its first key, which is shown this once; for ADMIN. */
export class CreateServiceAccount extends Command<Written<ServiceAccountView & { key: string }>> {
  constructor(
    readonly actor: Learner,
    readonly account: { name: string; scopes: ServiceScope[]; expiresAt?: Date },
  ) {
    super();
  }
}

/** Its keys end with it; for ADMIN. */
export class DeleteServiceAccount extends Command<Written<void>> {
  constructor(
    readonly actor: Learner,
    readonly accountId: string,
  ) {
    super();
  }
}

@CommandHandler(CreateServiceAccount)
export class CreateServiceAccountHandler implements ICommandHandler<CreateServiceAccount> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, account: { name, scopes, expiresAt } }: CreateServiceAccount) {
    return this.unitOfWork.run<ServiceAccountView & { key: string }>(withoutReplay(actor), async (tx) => {
      const id = randomUUID();
      await tx.query('insert into service_accounts (id, name, scopes) values ($1, $2, $3)', [id, name, [...new Set(scopes)]]);
      const { key } = await keepNewKey(tx, id, expiresAt);
      tx.record(new ServiceAccountCreated(id));
      const [account] = await tx.query<ServiceAccountView>(`${ACCOUNTS} where a.id = $1`, [id]);
      return View.of({ ...account!, key });
    });
  }
}

@CommandHandler(DeleteServiceAccount)
export class DeleteServiceAccountHandler implements ICommandHandler<DeleteServiceAccount> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, accountId }: DeleteServiceAccount): Promise<Written<void>> {
    return this.unitOfWork.run(actor, async (tx) => {
      const deleted = await tx.query('delete from service_accounts where id = $1 returning id', [accountId]);
      if (deleted.length === 0) throw new NotFound('service account');
      tx.record(new ServiceAccountDeleted(accountId));
    });
  }
}
