/** A learner's key, wrapped by a master key. */
export interface WrappedKey {
  /** From 1 on; 0 is the key of the lexemes. */
  version: number;
  /** Of the master key. */
  master: string;
  /** base64 */
  wrapped: string;
  /** New data is sealed with it from then on, ms since 1970; by default at once. One that not every process knows yet has a time that never comes. */
  activeFrom?: number;
}

/**
 * Where wrapped keys are kept: outside the database, so that a copy of it does not hold them. What a call has answered
 * is durable.
 */
export interface KeyStore {
  /** Undefined if the learner has none. */
  get(userId: string): Promise<WrappedKey[] | undefined>;
  /** @returns the keys that are there now: of several that make them at once the first decides */
  putIfAbsent(userId: string, keys: readonly WrappedKey[]): Promise<WrappedKey[]>;
  /** Only for a learner who has keys; one maintenance command at a time. */
  replace(userId: string, keys: readonly WrappedKey[]): Promise<void>;
  delete(userId: string): Promise<void>;
  /** The ids of all learners who have keys. */
  list(): AsyncIterable<string>;
  /** Tells one store from another; made with the store. */
  id(): Promise<string>;
}
