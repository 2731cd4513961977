import type { OnApplicationShutdown } from '@nestjs/common';
import type { RedisClientType } from 'redis4';
import { channelOf, learnerOf, XID, type Notifier } from './notifier';

const RETRY_MS = 1000;

/**
 * Channels as in a cluster. What subscribes is a connection of its own, opened with the first
 * listener; the client subscribes again by itself when Redis comes back.
 */
export class RedisNotifier implements Notifier, OnApplicationShutdown {
  private readonly listeners = new Map<string, (xid: string) => void>();
  private subscriber?: RedisClientType;

  constructor(private readonly client: RedisClientType) {}

  tell(learnerId: string, xid: string): void {
    this.client.sPublish(channelOf(learnerId), xid).catch(() => undefined); // Redis is away; whoever listens asks PostgreSQL
  }

  listen(learnerId: string, hear: (xid: string) => void): void {
    this.listeners.set(learnerId, hear);
    this.subscribe(learnerId);
  }

  ignore(learnerId: string): void {
    this.listeners.delete(learnerId);
    this.subscriber?.sUnsubscribe(channelOf(learnerId), this.hear).catch(() => undefined); // what still comes is not listened to
  }

  async onApplicationShutdown(): Promise<void> {
    this.listeners.clear();
    if (this.subscriber?.isOpen) await this.subscriber.disconnect();
  }

  private readonly hear = (message: string, channel: string): void => {
    if (XID.test(message)) this.listeners.get(learnerOf(channel))?.(message);
  };

  private subscribe(learnerId: string): void {
    this.subscriber ??= this.connect();
    this.subscriber.sSubscribe(channelOf(learnerId), this.hear).catch(() => {
      // The connection went before the answer came, and the client does not remember the subscription.
      setTimeout(() => this.listeners.has(learnerId) && this.subscribe(learnerId), RETRY_MS).unref();
    });
  }

  private connect(): RedisClientType {
    const subscriber = this.client.duplicate();
    subscriber.on('error', () => undefined); // the other connection has told
    subscriber.connect().catch(() => undefined);
    return subscriber;
  }
}
