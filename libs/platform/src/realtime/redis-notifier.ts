import type { OnApplicationShutdown } from '@nestjs/common';
import type { RedisClientType } from 'redis4';
import { SingleRedis } from '../cache/redis-client';
import { channelOf, learnerOf, XID, type Notifier } from './notifier';

const RETRY_MS = 1000;

/**
 * Channels as in a cluster. What subscribes is a connection of its own, opened with the first listener. When it is lost another
 * client takes its place: the options are those of the application's own, which does not connect again by itself.
 */
export class RedisNotifier implements Notifier, OnApplicationShutdown {
  private readonly listeners = new Map<string, (xid: string) => void>();
  private readonly redis: SingleRedis;
  private subscriber?: RedisClientType;
  private timer?: NodeJS.Timeout;

  constructor(private readonly client: RedisClientType) {
    this.redis = new SingleRedis(client);
  }

  tell(learnerId: string, xid: string): void {
    this.redis.send('SPUBLISH', channelOf(learnerId), xid).catch(() => undefined); // Redis is away; whoever listens asks PostgreSQL
  }

  listen(learnerId: string, hear: (xid: string) => void): void {
    this.listeners.set(learnerId, hear);
    this.subscriber ??= this.connect();
    if (this.subscriber.isReady) this.subscribe([learnerId]); // else once it is
  }

  ignore(learnerId: string): void {
    this.listeners.delete(learnerId);
    if (!this.subscriber?.isReady) return;
    this.subscriber.sUnsubscribe(channelOf(learnerId), this.hear).catch(() => undefined); // what still comes is not listened to
  }

  async onApplicationShutdown(): Promise<void> {
    const { subscriber } = this;
    this.subscriber = undefined;
    clearTimeout(this.timer);
    this.listeners.clear();
    if (subscriber?.isOpen) await subscriber.disconnect();
  }

  private readonly hear = (message: string, channel: string): void => {
    if (XID.test(message)) this.listeners.get(learnerOf(channel))?.(message);
  };

  private subscribe(learnerIds: string[]): void {
    this.subscriber?.sSubscribe(learnerIds.map(channelOf), this.hear).catch(() => undefined); // the next client does it again
  }

  private connect(): RedisClientType {
    const subscriber = this.client.duplicate();
    subscriber.on('ready', () => this.listeners.size > 0 && this.subscribe([...this.listeners.keys()]));
    subscriber.on('error', () => {
      if (subscriber === this.subscriber) this.timer ??= setTimeout(() => this.reconnect(), RETRY_MS).unref();
    });
    subscriber.connect().catch(() => undefined); // 'error' has told
    return subscriber;
  }

  private reconnect(): void {
    this.timer = undefined;
    this.subscriber = this.connect();
  }
}
