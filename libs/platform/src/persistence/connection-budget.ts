/** What a process has beside its pool at most: to hear of ended sessions, and of events for its streams. */
export const BESIDE_THE_POOL = 2;

/** Left for people and for what looks after the database. */
export const FOR_OPERATORS = 5;

/** What max_connections has to be, so that nobody is turned away (53300). */
export const connectionsNeeded = (processes: number, poolSize: number, reserved: number): number =>
  processes * (poolSize + BESIDE_THE_POOL) + reserved + FOR_OPERATORS;
