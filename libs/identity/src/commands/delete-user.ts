import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { expectVersion, UnitOfWork, type Learner, type Written } from '@studently/platform';
import { UserDeleted } from '../identity.events';
import { endSessions, lockAdmins, lockUser } from './locking';

/** Deletes a user and everything the user owns; by the user or an ADMIN. The audit log stays. */
export class DeleteUser extends Command<Written<void>> {
  constructor(
    readonly actor: Learner,
    readonly userId: string,
    readonly ifMatch?: string,
  ) {
    super();
  }
}

@CommandHandler(DeleteUser)
export class DeleteUserHandler implements ICommandHandler<DeleteUser> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, userId, ifMatch }: DeleteUser): Promise<Written<void>> {
    return this.unitOfWork.run(actor, async (tx) => {
      const admins = await lockAdmins(tx);
      const user = await lockUser(tx, userId);
      expectVersion(user, ifMatch);
      user.assertDispensable(admins);
      tx.record(new UserDeleted(userId, [], await endSessions(tx, userId)));
      tx.em.remove(user);
    });
  }
}
