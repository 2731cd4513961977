import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { Database, type Learner } from '@studently/platform';
import { normaliseEmail } from '../domain/email';

/** Who has this address or this id, to act for them; undefined: nobody. For entrances without sessions: the command line. */
export class FindUser extends Query<Learner | undefined> {
  constructor(readonly emailOrId: string) {
    super();
  }
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

@QueryHandler(FindUser)
export class FindUserHandler implements IQueryHandler<FindUser> {
  constructor(private readonly database: Database) {}

  async execute({ emailOrId }: FindUser): Promise<Learner | undefined> {
    const [user] = UUID.test(emailOrId)
      ? await this.byId(emailOrId.toLowerCase())
      : await this.database.read<Learner>({ role: 'STUDENT' }, 'select user_id as "userId", role from find_login($1)', [
          normaliseEmail(emailOrId),
        ]);
    return user;
  }

  private byId(userId: string): Promise<Learner[]> {
    return this.database.read<Learner>({ userId, role: 'STUDENT' }, 'select id as "userId", role from users where id = $1', [
      userId,
    ]);
  }
}
