import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { Database, NotFound, ReadModels, UnitOfWork, type Learner, type Written } from '@studently/platform';
import { InvalidCredentials } from '../domain/identity.errors';
import { PasswordChanged } from '../identity.events';
import { Guesses, type Guess } from '../passwords/guesses';
import { Passwords } from '../passwords/passwords';
import { userModel } from '../queries/user.read-model';
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
    private readonly readModels: ReadModels,
    private readonly unitOfWork: UnitOfWork,
    private readonly passwords: Passwords,
    private readonly guesses: Guesses,
  ) {}

  async execute({ actor, userId, currentPassword, newPassword }: ChangePassword): Promise<Written<void>> {
    if (actor.userId !== userId) throw new NotFound('user');
    const guess: Guess = [userId, actor.sessionId ?? ''];
    return this.guesses.inTurn(guess, async () => {
      const current = await this.currentHash(actor);
      if (!(await this.passwords.verify(currentPassword, current))) return this.answerWrong(actor, guess);
      const user = await this.readModels.get(userModel, actor, undefined);
      if (!user) throw new InvalidCredentials(); // deleted meanwhile
      this.passwords.check(newPassword, user.value);
      return this.change(actor, current, await this.passwords.hash(newPassword));
    });
  }

  private change(actor: Learner, current: string | undefined, newHash: string): Promise<Written<void>> {
    const { userId, sessionId } = actor;
    return this.unitOfWork.run(actor, async (tx) => {
      const user = await lockUser(tx, userId);
      await tx.em.populate(user, ['passwordHash']);
      if (user.passwordHash !== current) throw new InvalidCredentials(); // another session was faster
      user.changePassword(newHash);
      const ended = await endSessions(tx, userId, { except: sessionId });
      await tx.query('update sessions set epoch = $3 where user_id = $1 and id = $2', [
        userId,
        sessionId ?? null,
        user.sessionEpoch,
      ]);
      tx.record(new PasswordChanged(userId, ['password'], ended));
    });
  }

  /**
   * Whoever repeats a change that was made has its answer once more: the password is no longer right because of it. Anything
   * else is a guess, also with an Idempotency-Key that was used for something else.
   */
  private async answerWrong(actor: Learner, guess: Guess): Promise<Written<void>> {
    try {
      return await this.unitOfWork.run(actor, () => Promise.reject(new InvalidCredentials()));
    } catch (error) {
      await this.guesses.count(guess);
      throw error;
    }
  }

  private async currentHash(actor: Learner): Promise<string | undefined> {
    const sql = 'select password_hash from users where id = $1';
    const [row] = await this.database.read<{ password_hash: string }>(actor, sql, [actor.userId]);
    return row?.password_hash;
  }
}
