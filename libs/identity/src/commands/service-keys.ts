import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { NotFound, UnitOfWork, View, type Learner, type Transaction, type Written } from '@studently/platform';
import { ExpiresInThePast } from '../domain/identity.errors';
import { ServiceKey } from '../domain/service-key';
import { ServiceKeyAdded, ServiceKeyRemoved } from '../identity.events';
import type { ServiceKeyView } from '../queries/list-service-accounts';

/** Another key, shown this once. The earlier ones stay good until they are removed or expire: that is how to rotate; for ADMIN. */
export class AddServiceKey extends Command<Written<ServiceKeyView & { key: string }>> {
  constructor(
    readonly actor: Learner,
    readonly accountId: string,
    readonly expiresAt?: Date,
  ) {
    super();
  }
}

/** The next request with it is refused; for ADMIN. */
export class RemoveServiceKey extends Command<Written<void>> {
  constructor(
    readonly actor: Learner,
    readonly accountId: string,
    readonly keyId: string,
  ) {
    super();
  }
}

/** An answer with a secret is not kept, so it cannot be given again. */
export const withoutReplay = (actor: Learner): Learner => ({ ...actor, idempotency: undefined });

/** @throws ExpiresInThePast if the key would never be good */
export async function keepNewKey(
  tx: Transaction,
  accountId: string,
  expiresAt?: Date,
): Promise<ServiceKeyView & { key: string }> {
  if (expiresAt && expiresAt.getTime() <= Date.now()) throw new ExpiresInThePast();
  const { id, key, secretHash } = ServiceKey.generate(accountId);
  const [row] = await tx.query<Omit<ServiceKeyView, 'id'>>(
    `insert into service_keys (account_id, id, secret_hash, expires_at) values ($1, $2, $3, $4)
     returning iso8601(created_at) as "createdAt", iso8601(expires_at) as "expiresAt"`,
    [accountId, id, secretHash, expiresAt ?? null],
  );
  return { id, ...row!, key };
}

@CommandHandler(AddServiceKey)
export class AddServiceKeyHandler implements ICommandHandler<AddServiceKey> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, accountId, expiresAt }: AddServiceKey) {
    return this.unitOfWork.run<ServiceKeyView & { key: string }>(withoutReplay(actor), async (tx) => {
      const account = await tx.query('select id from service_accounts where id = $1 for key share', [accountId]);
      if (account.length === 0) throw new NotFound('service account');
      const added = await keepNewKey(tx, accountId, expiresAt);
      tx.record(new ServiceKeyAdded(added.id));
      return View.of(added);
    });
  }
}

@CommandHandler(RemoveServiceKey)
export class RemoveServiceKeyHandler implements ICommandHandler<RemoveServiceKey> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, accountId, keyId }: RemoveServiceKey): Promise<Written<void>> {
    return this.unitOfWork.run(actor, async (tx) => {
      const sql = 'delete from service_keys where account_id = $1 and id = $2 returning id';
      if ((await tx.query(sql, [accountId, keyId])).length === 0) throw new NotFound('service key');
      tx.record(new ServiceKeyRemoved(keyId));
    });
  }
}
