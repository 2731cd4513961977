import type { DomainEvent, EventPayload, EventType } from '../events/domain-event';

/** How long a cached view lives at most. Generations live as long. */
export const CACHE_TTL_SECONDS = 30 * 60;

/** A row of a read model's SQL: the JSON text of the view and its ETag. */
export interface ViewRow {
  json: string;
  etag: string;
}

/** Makes a read model's SQL of a statement with the columns of the view, among them `version` and `createdAt`. */
export function asView(sql: string): string {
  return `select row_to_json(view)::text as json, view.version || '@' || view."createdAt" as etag from (${sql}) view`;
}

/** The same for a view that has no version, or one that does not count every change: its ETag is a digest of it. */
export function asDigestedView(sql: string): string {
  return `select json, md5(json) as etag from (select row_to_json(view)::text as json from (${sql}) view) text`;
}

/** Everything about one kind of view: the SQL that makes it, what it is called in the cache, and who makes it stale. */
export interface ReadModel<Params, T> {
  /** One row `(json text, etag text)`, or none if there is no such thing. $1 is the owner. */
  readonly sql: string;
  values(ownerId: string, params: Params): unknown[];
  /** Names the view among its owner's. */
  key(params: Params): string;
  /** Views with the same tag are forgotten together. */
  tag(params: Params): string;
  /** Which events make which tags stale. */
  readonly forgottenBy: readonly Forgetting[];
  /** Only there to carry the type of the view. */
  readonly view?: T;
}

export interface Forgetting {
  readonly type: EventType<DomainEvent>;
  tags(this: void, event: EventPayload): string[];
}

export function forgottenBy<E extends DomainEvent>(type: EventType<E>, tags: (event: EventPayload<E>) => string[]): Forgetting {
  return { type, tags };
}
