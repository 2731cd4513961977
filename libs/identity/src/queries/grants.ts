import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { Database, pageOf, type Learner, type Page, type PageRequest, type View } from '@studently/platform';
import type { GrantScope } from '../domain/scopes';

export interface GrantView {
  id: string;
  teacherId: string;
  scopes: GrantScope[];
  createdAt: string;
}

/** A learner as a teacher sees one at first: who has granted what. */
export interface SharedLearner {
  userId: string;
  scopes: GrantScope[];
  createdAt: string;
}

/** What the learner shares, and with whom; newest first. */
export class ListGrants extends Query<View<Page<GrantView>>> {
  constructor(
    readonly actor: Learner,
    readonly page: PageRequest,
  ) {
    super();
  }
}

/** Who shares something with the teacher; newest first. */
export class ListLearners extends Query<View<Page<SharedLearner>>> {
  constructor(
    readonly actor: Learner,
    readonly page: PageRequest,
  ) {
    super();
  }
}

/** Whether the learner shares this with the teacher, now. */
export class HasGranted extends Query<boolean> {
  constructor(
    readonly teacher: Learner,
    readonly learnerId: string,
    readonly scope: GrantScope,
  ) {
    super();
  }
}

/** Grants as their learner sees them; a condition on `g` may follow. */
export const GRANTS = `
  select g.id, g.teacher_id as "teacherId", g.scopes, iso8601(g.created_at) as "createdAt" from grants g`;

const OWN_PAGE = `
  select row_to_json(item)::text as json, item."createdAt", item.id from (${GRANTS}
  where g.user_id = $1 and ($2::timestamptz is null or (g.created_at, g.id) < ($2, $3::uuid))
  order by g.created_at desc, g.id desc limit $4) item`;

/** The position in the list is a grant's, which is not shown: it goes beside the item. */
const LEARNERS_PAGE = `
  select json_build_object('userId', item."userId", 'scopes', item.scopes, 'createdAt', item."createdAt")::text as json,
    item."createdAt", item.id
  from (
    select g.id, g.user_id as "userId", g.scopes, iso8601(g.created_at) as "createdAt" from grants g
    where g.teacher_id = $1 and ($2::timestamptz is null or (g.created_at, g.id) < ($2, $3::uuid))
    order by g.created_at desc, g.id desc limit $4
  ) item`;

@QueryHandler(ListGrants)
export class ListGrantsHandler implements IQueryHandler<ListGrants> {
  constructor(private readonly database: Database) {}

  async execute({ actor, page }: ListGrants): Promise<View<Page<GrantView>>> {
    return pageOf(page, (after, limit) =>
      this.database.read(actor, OWN_PAGE, [actor.userId, after?.createdAt ?? null, after?.id ?? null, limit]),
    );
  }
}

@QueryHandler(ListLearners)
export class ListLearnersHandler implements IQueryHandler<ListLearners> {
  constructor(private readonly database: Database) {}

  async execute({ actor, page }: ListLearners): Promise<View<Page<SharedLearner>>> {
    return pageOf(page, (after, limit) =>
      this.database.read(actor, LEARNERS_PAGE, [actor.userId, after?.createdAt ?? null, after?.id ?? null, limit]),
    );
  }
}

@QueryHandler(HasGranted)
export class HasGrantedHandler implements IQueryHandler<HasGranted> {
  constructor(private readonly database: Database) {}

  async execute({ teacher, learnerId, scope }: HasGranted): Promise<boolean> {
    const sql = 'select from grants where user_id = $1 and teacher_id = $2 and $3 = any (scopes)';
    return (await this.database.read(teacher, sql, [learnerId, teacher.userId, scope])).length > 0;
  }
}
