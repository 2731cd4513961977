import { randomUUID } from 'node:crypto';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { UnitOfWork, type Actor, type Written } from '@studently/platform';
import { EmailClaim, User } from '../domain/user.entity';
import { UserRegistered } from '../identity.events';
import { Passwords } from '../passwords/passwords';
import { lockAdmins } from './locking';

/** Makes the first ADMIN. Where there is one already, it does nothing; so every instance may try at every start. */
export class BootstrapAdmin extends Command<Written<void>> {
  constructor(
    readonly email: string,
    readonly password: string,
  ) {
    super();
  }
}

@CommandHandler(BootstrapAdmin)
export class BootstrapAdminHandler implements ICommandHandler<BootstrapAdmin> {
  constructor(
    private readonly unitOfWork: UnitOfWork,
    private readonly passwords: Passwords,
  ) {}

  async execute({ email, password }: BootstrapAdmin): Promise<Written<void>> {
    this.passwords.check(password, { email });
    const passwordHash = await this.passwords.hash(password);
    const actor: Actor = { userId: randomUUID(), role: 'ADMIN' };
    return this.unitOfWork.run(actor, async (tx) => {
      // One at a time: of several instances that start together the first makes the ADMIN.
      await tx.query('select pg_advisory_xact_lock(hashtext($1))', ['studently bootstrap']);
      if ((await lockAdmins(tx)) > 0) return tx.existed();
      const admin = User.register(actor.userId!, email, passwordHash, 'ADMIN');
      tx.em.persist([admin, EmailClaim.of(admin)]);
      tx.record(new UserRegistered(admin.id, ['role']));
    });
  }
}
