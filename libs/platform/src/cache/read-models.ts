import { randomUUID } from 'node:crypto';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { InjectMetric } from '@willsoto/nestjs-prometheus';
import type { Counter } from 'prom-client';
import { EventConsumers } from '../events/event-consumers';
import { Database } from '../persistence/database';
import { decodeReadToken, snapshotSees } from '../persistence/read-token';
import type { Learner } from '../security/actor';
import { View } from '../view';
import { open, seal, type Envelope } from './envelope';
import { CACHE_STORE, type KeyValueStore } from './key-value-store';
import { CACHE_TTL_SECONDS, type ReadModel, type ViewRow } from './read-model';

export const CACHE_REQUESTS = 'studently_cache_requests_total';

export interface ReadOptions {
  /** Whose view it is; the actor's own by default. */
  ownerId?: string;
  /** From an earlier write: the view is at least as new as that. */
  readToken?: string;
}

type Loaded = (Omit<Envelope, 'generation'> & { found: true }) | { found: false; snapshot: string };

/**
 * Answers queries from the cache, else from PostgreSQL. A cached view counts only if it was read under
 * the generation that is current now: forgetting drops the generation after the commit, so a slow refill
 * lands under a dead one and can never bring back an older value. With a read token it counts only if
 * its snapshot also saw that write, whatever became of the forgetting (docs/adr/0006-read-models.md).
 */
@Injectable()
export class ReadModels {
  private readonly logger = new Logger(ReadModels.name);
  private readonly flights = new Map<string, Promise<Loaded>>();
  private storeIsDown = false;

  constructor(
    @Inject(CACHE_STORE) private readonly store: KeyValueStore,
    private readonly database: Database,
    private readonly consumers: EventConsumers,
    @InjectMetric(CACHE_REQUESTS) private readonly requests: Counter<'outcome'>,
  ) {}

  /** Takes part in forgetting. Called once for each read model, when its module starts. */
  register<Params, T>(model: ReadModel<Params, T>): void {
    for (const { type, tags } of model.forgottenBy) {
      this.consumers.on(type, async (event) => {
        const learner = (event as { learnerId: string }).learnerId;
        await this.store.delete(tags(event).map((tag) => generationKey(learner, tag)));
      });
    }
  }

  /**
   * The view as `actor` may see it; undefined if there is none. Only owners are answered from the cache:
   * for anybody else the database decides each time.
   */
  async get<Params, T>(
    model: ReadModel<Params, T>,
    actor: Learner,
    params: Params,
    { ownerId = actor.userId, readToken }: ReadOptions = {},
  ): Promise<View<T> | undefined> {
    const atLeast = readToken === undefined ? undefined : decodeReadToken(readToken);
    if (ownerId !== actor.userId) return viewOf(await this.query(model, actor, ownerId, params));
    return this.getOwn(model, actor, params, atLeast);
  }

  private async getOwn<Params, T>(
    model: ReadModel<Params, T>,
    owner: Learner,
    params: Params,
    atLeast: bigint | undefined,
  ): Promise<View<T> | undefined> {
    const valueKey = `cache:{u:${owner.userId}}:${model.key(params)}`;
    const tagKey = generationKey(owner.userId, model.tag(params));
    const [generation, cached] = await this.current(tagKey, valueKey);

    const envelope = cached === undefined ? undefined : open(cached);
    if (envelope && envelope.generation === generation) {
      if (atLeast === undefined || snapshotSees(envelope.snapshot, atLeast)) {
        this.requests.inc({ outcome: 'hit' });
        return new View<T>(envelope.json, envelope.etag);
      }
      this.requests.inc({ outcome: 'stale_rejected' });
    } else this.requests.inc({ outcome: 'miss' });

    const loaded = await this.load(model, owner, params, valueKey, generation);
    // The query that we have joined may have begun before that write.
    if (atLeast !== undefined && !snapshotSees(loaded.snapshot, atLeast)) {
      return viewOf(await this.query(model, owner, owner.userId, params));
    }
    return viewOf(loaded);
  }

  /** Requests that miss together under one generation share one query, and its result. */
  private async load<Params, T>(
    model: ReadModel<Params, T>,
    owner: Learner,
    params: Params,
    valueKey: string,
    generation: string | undefined,
  ): Promise<Loaded> {
    if (generation === undefined) return this.query(model, owner, owner.userId, params); // no store, no sharing
    const flightKey = `${generation} ${valueKey}`;
    let flight = this.flights.get(flightKey);
    if (!flight) {
      flight = this.query(model, owner, owner.userId, params)
        .then(async (loaded) => {
          if (loaded.found) await this.keep(valueKey, { ...loaded, generation });
          return loaded;
        })
        .finally(() => this.flights.delete(flightKey));
      this.flights.set(flightKey, flight);
    }
    return flight;
  }

  private async query<Params, T>(
    model: ReadModel<Params, T>,
    actor: Learner,
    ownerId: string,
    params: Params,
  ): Promise<Loaded> {
    const [row] = await this.database.read<Partial<ViewRow> & { snapshot: string }>(
      actor,
      `select pg_current_snapshot()::text as snapshot, view.* from (select) always left join (${model.sql}) view on true`,
      model.values(ownerId, params),
    );
    const { snapshot, json, etag } = row!;
    if (typeof json !== 'string' || typeof etag !== 'string') return { found: false, snapshot };
    return { found: true, snapshot, at: Date.now(), etag, json };
  }

  /** The tag's generation, made if there is none, and what is cached under the key. Of several that make one, the first decides. */
  private async current(tagKey: string, valueKey: string): Promise<[generation?: string, cached?: Buffer]> {
    const [generation, cached] = await this.fromStore([tagKey, valueKey]);
    if (generation !== undefined || this.storeIsDown) return [generation?.toString(), cached];
    const mine = randomUUID();
    try {
      if (await this.store.setIfAbsent(tagKey, mine, CACHE_TTL_SECONDS)) return [mine];
    } catch (error) {
      this.noteOutage(error);
      return [];
    }
    const [first, loaded] = await this.fromStore([tagKey, valueKey]); // whose maker may have loaded the view by now
    return [first?.toString(), loaded];
  }

  private async keep(valueKey: string, { generation, snapshot, at, etag, json }: Envelope): Promise<void> {
    // Jitter, downwards only: what was cached together should not expire together.
    const ttl = CACHE_TTL_SECONDS - Math.floor(Math.random() * 0.1 * CACHE_TTL_SECONDS);
    try {
      await this.store.set(valueKey, seal({ generation, snapshot, at, etag, json }), ttl);
    } catch (error) {
      this.noteOutage(error);
    }
  }

  /** Without the store every request is a miss: slower, never wrong. */
  private async fromStore(keys: string[]): Promise<(Buffer | undefined)[]> {
    try {
      const values = await this.store.get(keys);
      this.storeIsDown = false;
      return values;
    } catch (error) {
      this.noteOutage(error);
      return [];
    }
  }

  private noteOutage(error: unknown): void {
    if (!this.storeIsDown) this.logger.warn(`The cache does not answer: ${error instanceof Error ? error.message : 'failure'}`);
    this.storeIsDown = true;
  }
}

function generationKey(ownerId: string, tag: string): string {
  return `cache:{u:${ownerId}}:generation:${tag}`;
}

function viewOf<T>(loaded: Loaded): View<T> | undefined {
  return loaded.found ? new View<T>(loaded.json, loaded.etag) : undefined;
}
