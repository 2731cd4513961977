import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Global, Injectable, Logger, Module, type OnApplicationShutdown } from '@nestjs/common';
import { CACHE_MANAGER, CacheModule } from '@nestjs/cache-manager';
import { KeyvAdapter, type Cache } from 'cache-manager';
import { redisInsStore, type RedisStore as RedisYetStore } from 'cache-manager-redis-yet';
import { KeyvCacheableMemory } from '@cacheable/memory';
import { Keyv } from 'keyv';
import { createClient, type RedisClientType } from 'redis4';
import { ConfigurationError, SETTINGS, type Settings } from '../config/config';
import { CACHE_STORE, SESSION_STORE, type KeyValueStore } from './key-value-store';
import { MemoryStore } from './memory-store';
import { RedisStore } from './redis-store';

/** A start waits so long for Redis, to learn its version. */
const FIRST_CONNECT_MS = 1000;

/** Entries that the embedded way keeps at most; the least recently used go first. */
const MEMORY_ENTRIES = 20_000;

/** The Redis connections of this process. They open in the background: a start does not wait for Redis. */
@Injectable()
export class RedisConnections implements OnApplicationShutdown {
  private readonly logger = new Logger(RedisConnections.name);
  private readonly byUrl = new Map<string, RedisClientType>();

  to(url: string): RedisClientType {
    const existing = this.byUrl.get(url);
    if (existing) return existing;
    const client = createClient({
      url,
      disableOfflineQueue: true, // while Redis is away a command fails at once, and PostgreSQL answers
      socket: { connectTimeout: 500, reconnectStrategy: (attempt) => Math.min(50 * 2 ** attempt, 1000) + Math.random() * 50 },
    }) as RedisClientType;
    let down = false;
    client.on('error', (error: Error) => {
      if (!down) this.logger.warn(`Redis is not reachable, everything goes on without it: ${error.name} ${error.message}`);
      down = true;
    });
    client.on('ready', () => {
      if (down) this.logger.log('Redis is back');
      down = false;
    });
    client.connect().catch(() => undefined); // 'error' has told
    this.byUrl.set(url, client);
    return client;
  }

  /** @throws ConfigurationError if a reachable server is not Redis 7 or newer */
  async checkVersions(): Promise<void> {
    for (const client of this.byUrl.values()) {
      // Until it is known whether Redis is there; without it the start goes on.
      if (!client.isReady) await Promise.race([once(client, 'ready'), sleep(FIRST_CONNECT_MS)]).catch(() => undefined);
      const version = /redis_version:(\d+)\.(\S+)/.exec(await client.info('server').catch(() => ''));
      if (version && Number(version[1]) < 7) {
        throw new ConfigurationError(
          'REDIS_VERSION_UNSUPPORTED',
          `Redis ${version[1]}.${version[2]} is too old: use Redis 7 (REDIS_URL, REDIS_SESSIONS_URL).`,
        );
      }
    }
  }

  async onApplicationShutdown(): Promise<void> {
    const open = [...this.byUrl.values()].filter((client) => client.isOpen);
    await Promise.allSettled(open.map((client) => client.disconnect()));
  }
}

@Module({ providers: [RedisConnections], exports: [RedisConnections] })
class RedisModule {}

/** Every choice of where cached views and sessions live is made here. */
@Global()
@Module({
  imports: [
    RedisModule,
    CacheModule.registerAsync({
      isGlobal: true,
      imports: [RedisModule],
      inject: [SETTINGS, RedisConnections],
      useFactory: (settings: Settings, redis: RedisConnections) => ({
        stores: [settings.REDIS_URL ? redisKeyv(redis.to(settings.REDIS_URL)) : memoryKeyv()] as never[], // keyv's types exist twice, as CommonJS and ESM
      }),
    }),
  ],
  providers: [
    {
      provide: CACHE_STORE,
      inject: [CACHE_MANAGER],
      useFactory: (cache: Cache): KeyValueStore => storeOf(cache),
    },
    {
      provide: SESSION_STORE,
      inject: [SETTINGS, CACHE_STORE, RedisConnections],
      useFactory: (settings: Settings, cache: KeyValueStore, redis: RedisConnections): KeyValueStore =>
        settings.REDIS_SESSIONS_URL ? new RedisStore(redis.to(settings.REDIS_SESSIONS_URL)) : cache,
    },
  ],
  exports: [CACHE_STORE, SESSION_STORE, RedisModule],
})
export class StoresModule {}

const redisStores = new WeakMap<Keyv, RedisYetStore>();

function redisKeyv(client: RedisClientType): Keyv {
  const store = redisInsStore(client);
  const keyv = new Keyv({ store: new KeyvAdapter(store), useKeyPrefix: false });
  redisStores.set(keyv, store);
  return keyv;
}

function memoryKeyv(): Keyv {
  return new Keyv({ store: new KeyvCacheableMemory({ lruSize: MEMORY_ENTRIES }), useKeyPrefix: false });
}

function storeOf(cache: Cache): KeyValueStore {
  const redis = redisStores.get(cache.stores[0]!);
  return redis ? new RedisStore(redis.client) : new MemoryStore(cache);
}
