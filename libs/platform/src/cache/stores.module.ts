import { Global, Module } from '@nestjs/common';
import { CACHE_MANAGER, CacheModule } from '@nestjs/cache-manager';
import { KeyvAdapter, type Cache } from 'cache-manager';
import { redisInsStore, type RedisStore as RedisYetStore } from 'cache-manager-redis-yet';
import { KeyvCacheableMemory } from '@cacheable/memory';
import { Keyv } from 'keyv';
import type { RedisClientType } from 'redis4';
import { SETTINGS, type Settings } from '../config/config';
import { CACHE_STORE, SESSION_STORE, type KeyValueStore } from './key-value-store';
import { MemoryStore } from './memory-store';
import { SingleRedis } from './redis-client';
import { RedisConnections } from './redis-connections';
import { RedisStore } from './redis-store';
import { ClusterNotifier } from '../realtime/cluster-notifier';
import { MemoryNotifier } from '../realtime/memory-notifier';
import { NOTIFIER, type Notifier } from '../realtime/notifier';
import { RedisNotifier } from '../realtime/redis-notifier';
import { MemoryRateLimitStore } from '../rate-limit/memory-rate-limit-store';
import type { RateLimitStore } from '../rate-limit/rate-limit-store';
import { RATE_LIMIT_STORE } from '../rate-limit/rate-limits';
import { RedisRateLimitStore } from '../rate-limit/redis-rate-limit-store';

/** Entries that the embedded way keeps at most; the least recently used go first. */
const MEMORY_ENTRIES = 20_000;

@Module({ providers: [RedisConnections], exports: [RedisConnections] })
class RedisModule {}

/** Every choice of where cached views, sessions and rate limits live, and of how processes tell each other news, is made here. */
@Global()
@Module({
  imports: [
    RedisModule,
    CacheModule.registerAsync({
      isGlobal: true,
      imports: [RedisModule],
      inject: [SETTINGS, RedisConnections],
      useFactory: (settings: Settings, redis: RedisConnections) => ({
        stores: [keyvOf(settings, redis)] as never[], // keyv's types exist twice, as CommonJS and ESM
      }),
    }),
  ],
  providers: [
    {
      provide: CACHE_STORE,
      inject: [SETTINGS, CACHE_MANAGER, RedisConnections],
      useFactory: storeOf,
    },
    {
      provide: SESSION_STORE,
      inject: [SETTINGS, CACHE_STORE, RedisConnections],
      useFactory: (settings: Settings, cache: KeyValueStore, redis: RedisConnections): KeyValueStore =>
        settings.REDIS_SESSIONS_URL ? new RedisStore(redis.to(settings.REDIS_SESSIONS_URL)) : cache,
    },
    {
      provide: RATE_LIMIT_STORE,
      inject: [SETTINGS, RedisConnections],
      useFactory: (settings: Settings, redis: RedisConnections): RateLimitStore =>
        settings.REDIS_URL ? new RedisRateLimitStore(redis.to(settings.REDIS_URL)) : new MemoryRateLimitStore(),
    },
    {
      provide: NOTIFIER,
      inject: [SETTINGS, RedisConnections],
      useFactory: notifierOf,
    },
  ],
  exports: [CACHE_STORE, SESSION_STORE, RATE_LIMIT_STORE, NOTIFIER, RedisModule],
})
export class StoresModule {}

const redisStores = new WeakMap<Keyv, RedisYetStore>();

/** cache-manager's place: one Redis by cache-manager-redis-yet, else memory. It has no client that survives a failover of a cluster. */
function keyvOf({ REDIS_URL: url, REDIS_MODE: mode }: Settings, redis: RedisConnections): Keyv {
  return url && mode === 'single' ? redisKeyv(redis.toSingle(url)) : memoryKeyv();
}

function redisKeyv(client: RedisClientType): Keyv {
  const store = redisInsStore(client);
  const keyv = new Keyv({ store: new KeyvAdapter(store), useKeyPrefix: false });
  redisStores.set(keyv, store);
  return keyv;
}

function memoryKeyv(): Keyv {
  return new Keyv({ store: new KeyvCacheableMemory({ lruSize: MEMORY_ENTRIES }), useKeyPrefix: false });
}

function storeOf({ REDIS_URL: url, REDIS_MODE: mode }: Settings, cache: Cache, redis: RedisConnections): KeyValueStore {
  if (url && mode === 'cluster') return new RedisStore(redis.to(url));
  const single = redisStores.get(cache.stores[0]!);
  return single ? new RedisStore(new SingleRedis(single.client)) : new MemoryStore(cache);
}

function notifierOf({ REDIS_URL: url, REDIS_MODE: mode }: Settings, redis: RedisConnections): Notifier {
  if (!url) return new MemoryNotifier();
  return mode === 'cluster' ? new ClusterNotifier(redis.toCluster(url)) : new RedisNotifier(redis.toSingle(url));
}
