import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { expectVersion, UnitOfWork, type Learner, type Transaction, type Written } from '@studently/platform';
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

/** So many rows are a statement. All at once, by the cascade alone, would run out of time where somebody owns a lot. */
const PORTION = 1000;

interface Place {
  reached: string | null;
  last: string | null;
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
      await this.removeOwned(tx, userId);
      tx.em.remove(user);
    });
  }

  private async removeOwned(tx: Transaction, userId: string): Promise<void> {
    let place: Place = { reached: null, last: null };
    do {
      const sql = 'select reached::text, last from remove_owned($1, $2, $3, $4)';
      [place] = (await tx.query<Place>(sql, [userId, PORTION, place.reached, place.last])) as [Place];
    } while (place.reached !== null);
  }
}
