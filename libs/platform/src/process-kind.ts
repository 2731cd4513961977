/**
 * What a process is there for. `all`: everything, where there is one process alone. `api`: requests; what they leave behind is
 * a worker's. `worker`: that. `command`: of the CLI, which comes and goes.
 */
export type ProcessKind = 'all' | 'api' | 'worker' | 'command';

/** Token in Nest's container: whether this process stays, tells its own caches what has happened, and relays that for others. */
export const BACKGROUND = Symbol('BACKGROUND');

/** Token: whether it does what is left behind, and nobody waits for: jobs, expiry, sealing the audit log. */
export const WORKS = Symbol('WORKS');
