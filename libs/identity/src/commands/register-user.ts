import { randomUUID } from 'node:crypto';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { IdTaken, UnitOfWork, type Actor, type Transaction, type Written } from '@studently/platform';
import { normaliseEmail } from '../domain/email';
import { Profile, type ProfileFields } from '../domain/profile.entity';
import { EmailClaim, User } from '../domain/user.entity';
import { UserRegistered } from '../identity.events';
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
  ) {
    super();
  }
}

@CommandHandler(RegisterUser)
export class RegisterUserHandler implements ICommandHandler<RegisterUser> {
  constructor(
    private readonly unitOfWork: UnitOfWork,
    private readonly passwords: Passwords,
  ) {}

  async execute({ request, user: wanted }: RegisterUser): Promise<Written<UserView>> {
    this.passwords.check(wanted.password, wanted);
    const passwordHash = await this.passwords.hash(wanted.password); // 20 ms: not inside the transaction
    const actor: Actor = { ...request, userId: wanted.id, role: 'STUDENT' };
    return this.unitOfWork.run<UserView>(actor, async (tx) => {
      const existing = await tx.em.findOne(User, { id: wanted.id }, { populate: ['passwordHash'] });
      if (existing) {
        await this.assertSame(tx, existing, wanted);
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

  /** The same password shows that it is the same person who asks again. @throws IdTaken */
  private async assertSame(tx: Transaction, existing: User, wanted: NewUser): Promise<void> {
    const profile = await tx.em.findOne(Profile, { user: existing });
    const same =
      normaliseEmail(existing.email) === normaliseEmail(wanted.email) &&
      (wanted.profile ? profile?.holds(wanted.profile, await tx.cipher(existing.id)) : !profile) &&
      (await this.passwords.verify(wanted.password, existing.passwordHash));
    if (!same) throw new IdTaken();
  }
}
