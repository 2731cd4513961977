/**
 * A resource as the outside sees it: JSON text, made once (mostly by PostgreSQL) and passed on untouched.
 * `value` parses it for callers in the same process.
 */
export class View<T> {
  constructor(
    /** JSON text; UTF-8 bytes where it comes from the cache. */
    readonly json: string | Buffer,
    /** The version behind the ETag; undefined where there is none (lists). */
    readonly version?: number,
  ) {}

  static of<T>(value: T, version?: number): View<T> {
    return new View<T>(JSON.stringify(value), version);
  }

  get value(): T {
    return JSON.parse(this.json.toString()) as T;
  }
}

/** What a committed command answers. `T` is void where there is nothing to show. */
export class Written<T> extends View<T> {
  constructor(
    json: string | Buffer,
    version: number | undefined,
    /** Send it with a read, and the read sees at least this write. */
    readonly readToken: string,
    /** The resource was already there, made by an equal command with the same id. */
    readonly existed = false,
    /** The command had run before under the same idempotency key: this is the first answer again. */
    readonly replayed = false,
  ) {
    super(json, version);
  }

  override get value(): T {
    return (this.json === '' ? undefined : JSON.parse(this.json.toString())) as T;
  }
}
