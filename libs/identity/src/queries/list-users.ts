import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import {
  Database,
  LearnerKeys,
  openSealedJson,
  pageOf,
  type Learner,
  type Page,
  type PageRequest,
  type Role,
  View,
} from '@studently/platform';
import { normaliseEmail } from '../domain/email';
import { USERS, type UserView } from './user.read-model';

/** All users, newest first; for ADMIN. */
export class ListUsers extends Query<View<Page<UserView>>> {
  constructor(
    readonly actor: Learner,
    readonly filter: { role?: Role; email?: string },
    readonly page: PageRequest,
  ) {
    super();
  }
}

const SQL = `
  select row_to_json(item)::text as json, item."createdAt", item.id from (
  ${USERS}
  where ($1::text is null or u.role = $1)
    and ($2::text is null or u.id = (select e.user_id from user_emails e where e.email = $2))
    and ($3::timestamptz is null or (u.created_at, u.id) < ($3, $4::uuid))
  order by u.created_at desc, u.id desc limit $5) item`;

@QueryHandler(ListUsers)
export class ListUsersHandler implements IQueryHandler<ListUsers> {
  constructor(
    private readonly database: Database,
    private readonly keys: LearnerKeys,
  ) {}

  async execute({ actor, filter, page }: ListUsers): Promise<View<Page<UserView>>> {
    const email = filter.email === undefined ? null : normaliseEmail(filter.email);
    const list = await pageOf<UserView>(page, (after, limit) =>
      this.database.read(actor, SQL, [filter.role ?? null, email, after?.createdAt ?? null, after?.id ?? null, limit]),
    );
    return new View(await openSealedJson(this.keys, list.json.toString()));
  }
}
