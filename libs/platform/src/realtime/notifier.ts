/**
 * Tells the processes that a learner has news: no more than whose, and the id of the transaction. A telling may be lost; whoever
 * listens must have another way to notice (learner-news.ts). Three adapters (Redis, a cluster of it, this process's memory) pass one contract test.
 */
export interface Notifier {
  /** Neither waits nor fails. */
  tell(learnerId: string, xid: string): void;
  /** `hear` is called with each telling about the learner, until `ignore`. One listener for each learner and process. */
  listen(learnerId: string, hear: (xid: string) => void): void;
  ignore(learnerId: string): void;
}

/** The braces keep a learner's channel in one slot of a Redis cluster, beside the cached views. */
export const channelOf = (learnerId: string) => `events:{u:${learnerId}}`;
export const learnerOf = (channel: string) => channel.slice('events:{u:'.length, -1);

/** Whatever else may be published there. */
export const XID = /^\d{1,19}$/;

/** Token in Nest's container. */
export const NOTIFIER = Symbol('NOTIFIER');
