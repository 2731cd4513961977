import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { Database, NotFound, UnitOfWork, type Learner, type Written } from '@studently/platform';
import { InvalidCredentials } from '../domain/identity.errors';
import { checkPassword, hashPassword, verifyPassword } from '../domain/password';
import { PasswordChanged } from '../identity.events';
import { endSessions, lockUser } from './locking';

/** Changes one's own password. Other sessions end; the one that asks goes on. */
export class ChangePassword extends Command<Written<void>> {
  constructor(
    readonly actor: Learner,
    readonly userId: string,
    readonly currentPassword: string,
    readonly newPassword: string,
  ) {
    super();
  }
}

@CommandHandler(ChangePassword)
export class ChangePasswordHandler implements ICommandHandler<ChangePassword> {
  constructor(
    private readonly database: Database,
    private readonly unitOfWork: UnitOfWork,
  ) {}

  async execute({ actor, userId, currentPassword, newPassword }: ChangePassword): Promise<Written<void>> {
    if (actor.userId !== userId) throw new NotFound('user');
    const [known] = await this.database.read<{ email: string; password_hash: string }>(
      actor,
      'select email, password_hash from users where id = $1',
      [userId],
    );
    if (!known || !(await verifyPassword(currentPassword, known.password_hash))) throw new InvalidCredentials();
    checkPassword(newPassword, known.email);
    const newHash = await hashPassword(newPassword);
    return this.unitOfWork.run(actor, async (tx) => {
      const user = await lockUser(tx, userId);
      user.changePassword(newHash);
      const ended = await endSessions(tx, userId, { except: actor.sessionId });
      await tx.query('update sessions set epoch = $3 where user_id = $1 and id = $2', [
        userId,
        actor.sessionId ?? null,
        user.sessionEpoch,
      ]);
      tx.record(new PasswordChanged(userId, ['password'], ended));
    });
  }
}
