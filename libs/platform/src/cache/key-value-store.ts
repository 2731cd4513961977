/**
 * The one thing that cached views and sessions need of Redis: text or bytes under a key, with an end. It comes back
 * as bytes, because a view goes on to the client without ever becoming a string. Two
 * adapters (Redis, this process's memory) pass one contract test. Nothing in it is the only copy.
 */
export interface KeyValueStore {
  /**
   * Changes whenever the store may have gone back to what it held before for this key (a restart, a replica that took over);
   * undefined while it does not answer. It is that of the latest answer.
   */
  runOf(key: string): string | undefined;
  /** The values in the order of the keys (which share one cluster slot); undefined where there is none. */
  get(keys: readonly string[]): Promise<(Buffer | undefined)[]>;
  set(key: string, value: string | Buffer, ttlSeconds: number): Promise<void>;
  /** @returns false, and changes nothing, if the key is taken */
  setIfAbsent(key: string, value: string, ttlSeconds: number): Promise<boolean>;
  /** The keys share one cluster slot. */
  delete(keys: readonly string[]): Promise<void>;
  /** Rejects when the store cannot answer. */
  ping(): Promise<void>;
}

/** Tokens of the two stores in Nest's container: they may live on two servers, with different eviction. */
export const CACHE_STORE = Symbol('CACHE_STORE');
export const SESSION_STORE = Symbol('SESSION_STORE');
