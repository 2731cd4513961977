import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { Database, pageOf, type Learner, type Page, type PageRequest, type View } from '@studently/platform';
import type { ServiceScope } from '../domain/scopes';

export interface ServiceKeyView {
  id: string;
  createdAt: string;
  /** null: never */
  expiresAt: string | null;
}

export interface ServiceAccountView {
  id: string;
  name: string;
  scopes: ServiceScope[];
  createdAt: string;
  /** Without their secrets. */
  keys: ServiceKeyView[];
}

/** All service accounts, newest first; for ADMIN. */
export class ListServiceAccounts extends Query<View<Page<ServiceAccountView>>> {
  constructor(
    readonly actor: Learner,
    readonly page: PageRequest,
  ) {
    super();
  }
}

/** Service accounts as they are shown; a condition on `a` may follow. */
export const ACCOUNTS = `
  select a.id, a.name, a.scopes, iso8601(a.created_at) as "createdAt",
    (select coalesce(json_agg(json_build_object('id', k.id, 'createdAt', iso8601(k.created_at), 'expiresAt', iso8601(k.expires_at))
       order by k.created_at, k.id), '[]') from service_keys k where k.account_id = a.id) as keys
  from service_accounts a`;

const PAGE = `
  select row_to_json(item)::text as json, item."createdAt", item.id from (${ACCOUNTS}
  where $1::timestamptz is null or (a.created_at, a.id) < ($1, $2::uuid)
  order by a.created_at desc, a.id desc limit $3) item`;

@QueryHandler(ListServiceAccounts)
export class ListServiceAccountsHandler implements IQueryHandler<ListServiceAccounts> {
  constructor(private readonly database: Database) {}

  async execute({ actor, page }: ListServiceAccounts): Promise<View<Page<ServiceAccountView>>> {
    return pageOf(page, (after, limit) =>
      this.database.read(actor, PAGE, [after?.createdAt ?? null, after?.id ?? null, limit]),
    );
  }
}
