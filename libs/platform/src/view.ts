/**
 * A resource as the outside sees it: JSON text, made once (mostly by PostgreSQL) and passed on untouched.
 * `value` parses it for callers in the same process.
 */
export class View<T> {
  constructor(
    /** JSON text; UTF-8 bytes where it comes from the cache. */
    readonly json: string | Buffer,
    /** Changes with every change of the resource; undefined where there is none (lists). */
    readonly etag?: string,
  ) {}

  static of<T>(value: T): View<T> {
    return new View<T>(JSON.stringify(value));
  }

  get value(): T {
    return JSON.parse(this.json.toString()) as T;
  }
}

/** What a committed command answers. `T` is void where there is nothing to show. */
export class Written<T> extends View<T> {
  constructor(
    json: string | Buffer,
    etag: string | undefined,
    /** Send it with a read, and the read sees at least this write. */
    readonly readToken: string,
    /** The resource was already there, made by an equal command with the same id. */
    readonly existed = false,
    /** The command had run before under the same idempotency key: this is the first answer again. */
    readonly replayed = false,
  ) {
    super(json, etag);
  }

  override get value(): T {
    return (this.json === '' ? undefined : JSON.parse(this.json.toString())) as T;
  }
}
