/**
 * The one thing that cached views and sessions need of Redis: text under a key, with an end. It comes back
 * as UTF-8 bytes, because a view goes on to the client without ever becoming a string. Two
 * adapters (Redis, this process's memory) pass one contract test. Nothing in it is the only copy.
 */
export interface KeyValueStore {
  /** The values in the order of the keys (which share one cluster slot); undefined where there is none. */
  get(keys: readonly string[]): Promise<(Buffer | undefined)[]>;
  set(key: string, value: string, ttlSeconds: number): Promise<void>;
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
