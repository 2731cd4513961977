import { randomUUID } from 'node:crypto';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { addressPrincipal, IdTaken, UnitOfWork, type Actor, type Transaction, type Written } from '@studently/platform';
import { normaliseEmail } from '../domain/email';
import { Profile, type ProfileFields } from '../domain/profile.entity';
import { EmailClaim, User } from '../domain/user.entity';
import { UserRegistered } from '../identity.events';
import { Guesses, type Guess } from '../passwords/guesses';
import { Passwords } from '../passwords/passwords';
import { userModel, type UserView } from '../queries/user.read-model';

export interface NewUser {
  id: string;
  email: string;
  password: string;
  profile?: ProfileFields;
}

/** Makes a STUDENT. Registering twice with the same id and content is once. */
export class RegisterUser extends Command<Written<UserView>> {
  constructor(
    readonly request: Pick<Actor, 'requestId' | 'idempotency'>,
    readonly user: NewUser,
    /** Where it comes from: what is guessed with it counts there. */
    readonly ip?: string,
  ) {
    super();
  }
}

/** There is such a user already. Whether the password is right has to be known before the transaction, which does not wait for it. */
class PasswordUnproven extends Error {
  constructor(readonly passwordHash: string) {
    super();
  }
}

@CommandHandler(RegisterUser)
export class RegisterUserHandler implements ICommandHandler<RegisterUser> {
  constructor(
    private readonly unitOfWork: UnitOfWork,
    private readonly passwords: Passwords,
    private readonly guesses: Guesses,
  ) {}

  async execute({ request, user: wanted, ip }: RegisterUser): Promise<Written<UserView>> {
    this.passwords.check(wanted.password, wanted);
    const passwordHash = await this.passwords.hash(wanted.password); // 20 ms: not inside the transaction
    const actor: Actor = { ...request, userId: wanted.id, role: 'STUDENT' };
    for (let proven: string | undefined; ;) {
      try {
        return await this.register(actor, wanted, passwordHash, proven);
      } catch (error) {
        if (!(error instanceof PasswordUnproven)) throw error;
        proven = error.passwordHash;
        await this.prove(wanted, proven, ip);
      }
    }
  }

  /** @param proven the hash that the password has been held against */
  private register(actor: Actor, wanted: NewUser, passwordHash: string, proven?: string): Promise<Written<UserView>> {
    return this.unitOfWork.run<UserView>(actor, async (tx) => {
      const existing = await tx.em.findOne(User, { id: wanted.id }, { populate: ['passwordHash'] });
      if (existing) {
        await this.assertSame(tx, existing, wanted);
        if (existing.passwordHash !== proven) throw new PasswordUnproven(existing.passwordHash);
        tx.existed();
      } else {
        const user = User.register(wanted.id, wanted.email, passwordHash);
        tx.em.persist([user, EmailClaim.of(user)]);
        if (wanted.profile) tx.em.persist(Profile.of(user, randomUUID(), wanted.profile, await tx.cipher(user.id)));
        tx.record(new UserRegistered(user.id));
      }
      return tx.view(userModel, wanted.id, undefined);
    });
  }

  /** But for the password. @throws IdTaken */
  private async assertSame(tx: Transaction, existing: User, wanted: NewUser): Promise<void> {
    const profile = await tx.em.findOne(Profile, { user: existing });
    const same =
      normaliseEmail(existing.email) === normaliseEmail(wanted.email) &&
      (wanted.profile ? profile?.holds(wanted.profile, await tx.cipher(existing.id)) : !profile);
    if (!same) throw new IdTaken();
  }

  /** The same password shows that it is the same person who asks again; another one is a guess, as at a login. @throws IdTaken */
  private async prove({ email, password }: NewUser, passwordHash: string, ip: string | undefined): Promise<void> {
    const guess: Guess = [normaliseEmail(email), addressPrincipal(ip)];
    await this.guesses.inTurn(guess, async () => {
      if (await this.passwords.verify(password, passwordHash)) return;
      await this.guesses.count(guess);
      throw new IdTaken();
    });
  }
}
