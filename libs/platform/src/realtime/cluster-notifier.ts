import type { OnApplicationShutdown } from '@nestjs/common';
import type { Cluster } from 'ioredis';
import { channelOf, learnerOf, XID, type Notifier } from './notifier';

const RETRY_MS = 1000;

/** Sharded channels of a Redis Cluster, each on the node that has the learner's slot. The client subscribes again when slots move. */
export class ClusterNotifier implements Notifier, OnApplicationShutdown {
  private readonly listeners = new Map<string, (xid: string) => void>();
  private subscriber?: Cluster;

  constructor(private readonly cluster: Cluster) {}

  tell(learnerId: string, xid: string): void {
    this.cluster.spublish(channelOf(learnerId), xid).catch(() => undefined); // its master is away; whoever listens asks PostgreSQL
  }

  listen(learnerId: string, hear: (xid: string) => void): void {
    this.listeners.set(learnerId, hear);
    this.subscribe(learnerId);
  }

  ignore(learnerId: string): void {
    this.listeners.delete(learnerId);
    this.subscriber?.sunsubscribe(channelOf(learnerId)).catch(() => undefined); // what still comes is not listened to
  }

  onApplicationShutdown(): void {
    this.listeners.clear();
    this.subscriber?.disconnect();
  }

  private subscribe(learnerId: string): void {
    this.subscriber ??= this.connect();
    this.subscriber.ssubscribe(channelOf(learnerId)).catch(() => {
      setTimeout(() => this.listeners.has(learnerId) && this.subscribe(learnerId), RETRY_MS).unref();
    });
  }

  private connect(): Cluster {
    const subscriber = this.cluster.duplicate([], { shardedSubscribers: true, enableOfflineQueue: true });
    subscriber.on('error', () => undefined); // the other connection has told
    subscriber.on('smessage', (channel: string, message: string) => {
      if (XID.test(message)) this.listeners.get(learnerOf(channel))?.(message);
    });
    return subscriber;
  }
}
