import { randomUUID } from 'node:crypto';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { Database, UnitOfWork, View, type Actor, type Role, type Written } from '@studently/platform';
import { normaliseEmail } from '../domain/email';
import { InvalidCredentials } from '../domain/identity.errors';
import { verifyPassword } from '../domain/password';
import { Session, type LoginOrigin } from '../domain/session.entity';
import { User } from '../domain/user.entity';
import { SessionOpened } from '../identity.events';

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

@CommandHandler(OpenSession)
export class OpenSessionHandler implements ICommandHandler<OpenSession> {
  constructor(
    private readonly database: Database,
    private readonly unitOfWork: UnitOfWork,
  ) {}

  async execute({ request, email, password, origin }: OpenSession): Promise<Written<OpenedSession>> {
    const [login] = await this.database.read<Login>({ role: 'STUDENT' }, 'select * from find_login($1)', [
      normaliseEmail(email),
    ]);
    if (!(await verifyPassword(password, login?.password_hash)) || !login) throw new InvalidCredentials();
    const actor: Actor = { ...request, userId: login.user_id, role: login.role };
    return this.unitOfWork.run<OpenedSession>(actor, async (tx) => {
      const user = await tx.em.findOne(User, { id: login.user_id }, { populate: ['passwordHash'] });
      // Deleted, or given another password, since we looked.
      if (user?.passwordHash !== login.password_hash) throw new InvalidCredentials();
      const { session, token } = Session.open(user, randomUUID(), origin, new Date());
      tx.em.persist(session);
      tx.record(new SessionOpened(user.id));
      return View.of({ token, userId: user.id, role: user.role, expiresAt: session.expiresAt.toISOString() });
    });
  }
}
