import { randomUUID } from 'node:crypto';
import { Logger } from '@nestjs/common';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { addressPrincipal, Database, UnitOfWork, View, type Actor, type Role, type Written } from '@studently/platform';
import { normaliseEmail } from '../domain/email';
import { InvalidCredentials } from '../domain/identity.errors';
import { needsRehash } from '../domain/password';
import { Session, type LoginOrigin } from '../domain/session.entity';
import { User } from '../domain/user.entity';
import { PasswordRehashed, SessionOpened } from '../identity.events';
import { Guesses, type Guess } from '../passwords/guesses';
import { Passwords } from '../passwords/passwords';
import { lockUser } from './locking';

export interface OpenedSession {
  /** Shown once; only its hash is kept. */
  token: string;
  userId: string;
  role: Role;
  expiresAt: string;
}

/** Login. An unknown address takes as long as a wrong password, and answers the same. */
export class OpenSession extends Command<Written<OpenedSession>> {
  constructor(
    readonly request: Pick<Actor, 'requestId'>,
    readonly email: string,
    readonly password: string,
    readonly origin: LoginOrigin,
  ) {
    super();
  }
}

interface Login {
  user_id: string;
  password_hash: string;
  role: Role;
}

class HashChanged extends Error {}

@CommandHandler(OpenSession)
export class OpenSessionHandler implements ICommandHandler<OpenSession> {
  private readonly logger = new Logger(OpenSession.name);

  constructor(
    private readonly database: Database,
    private readonly unitOfWork: UnitOfWork,
    private readonly passwords: Passwords,
    private readonly guesses: Guesses,
  ) {}

  async execute({ request, email, password, origin }: OpenSession): Promise<Written<OpenedSession>> {
    for (;;) {
      const opened = await this.tryOnce(request, email, password, origin);
      if (opened) return opened;
    }
  }

  /** @returns undefined if the account has another hash by now, which the password has to be held against then */
  private async tryOnce(
    request: OpenSession['request'],
    email: string,
    password: string,
    origin: LoginOrigin,
  ): Promise<Written<OpenedSession> | undefined> {
    const guess: Guess = [normaliseEmail(email), addressPrincipal(origin.ip)];
    const login = await this.guesses.inTurn(guess, async () => {
      const found = await this.find(email);
      if ((await this.passwords.verify(password, found?.password_hash)) && found) return found;
      await this.guesses.count(guess);
      throw new InvalidCredentials();
    });
    const actor: Actor = { ...request, userId: login.user_id, role: login.role };
    const opened = await this.open(actor, login, origin).catch((error: unknown) => {
      if (!(error instanceof HashChanged)) throw error;
      return undefined;
    });
    if (opened && needsRehash(login.password_hash)) await this.rehash(actor, login, password);
    return opened;
  }

  private async find(email: string): Promise<Login | undefined> {
    const sql = 'select * from find_login($1)';
    return (await this.database.read<Login>({ role: 'STUDENT' }, sql, [normaliseEmail(email)]))[0];
  }

  private open(actor: Actor, login: Login, origin: LoginOrigin): Promise<Written<OpenedSession>> {
    return this.unitOfWork.run<OpenedSession>(actor, async (tx) => {
      const user = await tx.em.findOne(User, { id: login.user_id }, { populate: ['passwordHash'] });
      // Since we looked it was deleted, given another password, or strengthened by another login.
      if (user?.passwordHash !== login.password_hash) throw new HashChanged();
      const { session, token } = Session.open(user, randomUUID(), origin, new Date());
      tx.em.persist(session);
      tx.record(new SessionOpened(user.id));
      return View.of({ token, userId: user.id, role: user.role, expiresAt: session.expiresAt.toISOString() });
    });
  }

  /** Only now is the password known that a stronger hash needs. If it fails, the next login tries again. */
  private async rehash(actor: Actor, login: Login, password: string): Promise<void> {
    try {
      const stronger = await this.passwords.hash(password);
      await this.unitOfWork.run(actor, async (tx) => {
        const user = await lockUser(tx, login.user_id);
        await tx.em.populate(user, ['passwordHash']);
        if (user.passwordHash !== login.password_hash) return tx.existed(); // changed, or rehashed by another login
        user.rehash(stronger);
        tx.record(new PasswordRehashed(user.id, ['password']));
      });
    } catch (error) {
      this.logger.warn(
        `A password keeps its weaker hash until the next login: ${error instanceof Error ? error.name : 'failure'}`,
      );
    }
  }
}
