/**
 * Token in Nest's container: whether this process does what is not asked for by anybody right now (relaying the
 * outbox, removing what has expired, embedding). A command of the CLI does not: it leaves messages to those that stay.
 */
export const BACKGROUND = Symbol('BACKGROUND');
