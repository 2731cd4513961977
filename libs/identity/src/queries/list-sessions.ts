import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { Database, NotFound, pageOf, View, type Learner, type Page, type PageRequest } from '@studently/platform';

export interface SessionView {
  id: string;
  createdAt: string;
  expiresAt: string;
  /** This is the session that asks. */
  current: boolean;
}

/** One's own sessions that are still good, newest first. */
export class ListSessions extends Query<View<Page<SessionView>>> {
  constructor(
    readonly actor: Learner,
    readonly page: PageRequest,
  ) {
    super();
  }
}

/** The session that asks. */
export class GetSession extends Query<View<SessionView>> {
  constructor(readonly actor: Learner) {
    super();
  }
}

/** $1 is the user, $2 the session that asks. */
const SESSIONS = `
  select s.id, iso8601(s.created_at) as "createdAt", iso8601(s.expires_at) as "expiresAt",
         s.id is not distinct from $2::uuid as current
  from sessions s join users u on u.id = s.user_id
  where s.user_id = $1 and s.revoked_at is null and s.expires_at > now() and s.epoch = u.session_epoch`;

const PAGE = `select row_to_json(item)::text as json, item."createdAt", item.id from (${SESSIONS}
  and ($3::timestamptz is null or (s.created_at, s.id) < ($3, $4::uuid)) order by s.created_at desc, s.id desc limit $5) item`;

@QueryHandler(ListSessions)
export class ListSessionsHandler implements IQueryHandler<ListSessions> {
  constructor(private readonly database: Database) {}

  async execute({ actor, page }: ListSessions): Promise<View<Page<SessionView>>> {
    return pageOf(page, (after, limit) =>
      this.database.read(actor, PAGE, [
        actor.userId,
        actor.sessionId ?? null,
        after?.createdAt ?? null,
        after?.id ?? null,
        limit,
      ]),
    );
  }
}

@QueryHandler(GetSession)
export class GetSessionHandler implements IQueryHandler<GetSession> {
  constructor(private readonly database: Database) {}

  async execute({ actor }: GetSession): Promise<View<SessionView>> {
    const [row] = await this.database.read<{ json: string }>(
      actor,
      `select row_to_json(item)::text as json from (${SESSIONS} and s.id = $2) item`,
      [actor.userId, actor.sessionId ?? null],
    );
    if (!row) throw new NotFound('session');
    return new View(row.json);
  }
}
