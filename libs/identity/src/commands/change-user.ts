import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { expectVersion, UnitOfWork, type Learner, type Transaction, type Written } from '@studently/platform';
import type { ProfileFields } from '../domain/profile.entity';
import { EmailClaim, type User } from '../domain/user.entity';
import { UserChanged } from '../identity.events';
import { userModel, type UserView } from '../queries/user.read-model';
import { lockUser, profileOf } from './locking';

export interface UserChanges {
  email?: string;
  /** As in ChangeProfile: `preferences` is a merge patch. */
  profile?: Partial<ProfileFields>;
}

/** Changes what is given of a user. */
export class ChangeUser extends Command<Written<UserView>> {
  constructor(
    readonly actor: Learner,
    readonly userId: string,
    readonly changes: UserChanges,
    readonly ifMatch?: string,
  ) {
    super();
  }
}

@CommandHandler(ChangeUser)
export class ChangeUserHandler implements ICommandHandler<ChangeUser> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, userId, changes, ifMatch }: ChangeUser): Promise<Written<UserView>> {
    return this.unitOfWork.run<UserView>(actor, async (tx) => {
      const user = await lockUser(tx, userId);
      expectVersion(user, ifMatch);
      if (changes.email !== undefined) await this.changeEmail(tx, user, changes.email);
      if (changes.profile) (await profileOf(tx, user)).change(changes.profile, await tx.cipher(userId));
      tx.record(new UserChanged(userId, Object.keys(changes)));
      return tx.view(userModel, userId, undefined);
    });
  }

  private async changeEmail(tx: Transaction, user: User, email: string): Promise<void> {
    user.changeEmail(email);
    const claim = EmailClaim.of(user);
    await tx.query('update user_emails set email = $2 where user_id = $1', [user.id, claim.email]);
  }
}
