import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { expectVersion, UnitOfWork, type Learner, type Role, type Written } from '@studently/platform';
import { RoleChanged } from '../identity.events';
import { userModel, type UserView } from '../queries/user.read-model';
import { endSessions, lockAdmins, lockUser } from './locking';

/** Gives a user another role; for ADMIN. That user's sessions end. */
export class ChangeRole extends Command<Written<UserView>> {
  constructor(
    readonly actor: Learner,
    readonly userId: string,
    readonly role: Role,
    readonly ifMatch?: string,
  ) {
    super();
  }
}

@CommandHandler(ChangeRole)
export class ChangeRoleHandler implements ICommandHandler<ChangeRole> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, userId, role, ifMatch }: ChangeRole): Promise<Written<UserView>> {
    return this.unitOfWork.run<UserView>(actor, async (tx) => {
      const admins = await lockAdmins(tx);
      const user = await lockUser(tx, userId); // whom the actor may not see is not there
      expectVersion(user, ifMatch);
      user.changeRole(role, admins);
      tx.record(new RoleChanged(userId, ['role'], await endSessions(tx, userId)));
      return tx.view(userModel, userId, undefined);
    });
  }
}
