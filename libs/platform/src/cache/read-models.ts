import { randomUUID } from 'node:crypto';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import { InjectMetric } from '@willsoto/nestjs-prometheus';
import { LRUCache } from 'lru-cache';
import type { Counter } from 'prom-client';
import { EventConsumers } from '../events/event-consumers';
import { Database } from '../persistence/database';
import { decodeReadToken, markSees, type Write } from '../persistence/read-token';
import { expectUuids, ownerOf, type Learner } from '../security/actor';
import { LearnerKeys } from '../security/keys/learner-keys';
import { openSealedJson } from '../security/keys/sealed-json';
import { View } from '../view';
import { open, seal, type Envelope } from './envelope';
import { CACHE_STORE, type KeyValueStore } from './key-value-store';
import { CACHE_TTL_SECONDS, type ReadModel, type ViewRow } from './read-model';

export const CACHE_REQUESTS = 'studently_cache_requests_total';

export interface ReadOptions {
  /** Whose view it is; the actor's own, or that of the learner whom the actor reads, by default. */
  ownerId?: string;
  /** From an earlier write: the view is at least as new as that. */
  readToken?: string;
}

/** What the store holds: under which generation, and the view that was read under it. */
interface Current {
  generation?: string;
  view?: Envelope;
}

/** As PostgreSQL has just made it, or as another process has kept it meanwhile. */
type Found = Omit<Envelope, 'generation' | 'json'> & { json: string | Buffer; found: true };
type Loaded = Found | { found: false; mark: string };

/** What this process remembers of views that it has answered: bytes in all, and those of an entry beside its JSON. */
const REMEMBERED_BYTES = 32 * 1024 * 1024;
const ENTRY_BYTES = 500;

/** Whoever fills a view for all processes has so long; the others look every few ms whether it is there. */
const FILL_SECONDS = 1;
const LONGEST_WAIT_MS = 250;
const LOOK_EVERY_MS = 5;

/**
 * Answers queries from the cache, else from PostgreSQL. A cached view counts only if it was read under
 * the generation that is current now: forgetting drops the generation after the commit, so a slow refill
 * lands under a dead one and can never bring back an older value. With a read token it counts only if
 * it also saw that write, whatever became of the forgetting (docs/adr/0006-read-models.md).
 */
@Injectable()
export class ReadModels {
  private readonly flights = new Map<string, Promise<Loaded>>();
  /** Views, opened. One counts like one from the store, under the generation that is current there: only its bytes stay here. */
  private readonly remembered = new LRUCache<string, Envelope>({
    maxSize: REMEMBERED_BYTES,
    sizeCalculation: ({ json }) => json.length + ENTRY_BYTES,
  });

  constructor(
    @Inject(CACHE_STORE) private readonly store: KeyValueStore,
    private readonly database: Database,
    private readonly consumers: EventConsumers,
    private readonly keys: LearnerKeys,
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
    { ownerId = ownerOf(actor), readToken }: ReadOptions = {},
  ): Promise<View<T> | undefined> {
    expectUuids(actor);
    const atLeast = readToken === undefined ? undefined : decodeReadToken(readToken);
    if (ownerId !== actor.userId) return viewOf(await this.query(model, actor, ownerId, params));

    const valueKey = `cache:{u:${ownerId}}:${model.key(params)}`;
    const { generation, view } = await this.current(model, ownerId, params, valueKey);
    if (view && isFresh(view, atLeast)) {
      this.requests.inc({ outcome: 'hit' });
      return new View<T>(view.json, view.etag);
    }
    this.requests.inc({ outcome: view ? 'stale_rejected' : 'miss' });

    const loaded = await this.load(model, actor, params, valueKey, generation, atLeast);
    // The query that we have joined may have begun before that write.
    if (!isFresh(loaded, atLeast)) return viewOf(await this.query(model, actor, ownerId, params));
    return viewOf(loaded);
  }

  /** Requests of this process that miss together under one generation share one flight, and its result. */
  private async load<Params, T>(
    model: ReadModel<Params, T>,
    owner: Learner,
    params: Params,
    valueKey: string,
    generation: string | undefined,
    atLeast: Write | undefined,
  ): Promise<Loaded> {
    if (generation === undefined) return this.query(model, owner, owner.userId, params); // no store, no sharing
    const flightKey = `${generation} ${valueKey}`;
    let flight = this.flights.get(flightKey);
    if (!flight) {
      flight = this.fill(model, owner, params, valueKey, generation, atLeast).finally(() => this.flights.delete(flightKey));
      this.flights.set(flightKey, flight);
    }
    return flight;
  }

  /** Of the processes that miss together one queries. The others take what it has kept; if that takes too long, they query, too. */
  private async fill<Params, T>(
    model: ReadModel<Params, T>,
    owner: Learner,
    params: Params,
    valueKey: string,
    generation: string,
    atLeast: Write | undefined,
  ): Promise<Loaded> {
    const lock = fillKey(valueKey, generation);
    let isMine = false;
    let kept: Promise<void> | undefined;
    try {
      for (const end = performance.now() + LONGEST_WAIT_MS; ; await sleep(LOOK_EVERY_MS)) {
        // The lock before the look, in one step: what another has kept, it has kept before it gave the lock back.
        const taking = this.store.setIfAbsent(lock, '', FILL_SECONDS).catch(() => true);
        const { generation: now, view } = await this.current(model, owner.userId, params, valueKey);
        isMine = await taking;
        if (view && isFresh(view, atLeast)) return { ...view, found: true };
        if (isMine || now !== generation || performance.now() > end) break;
      }
      const loaded = await this.query(model, owner, owner.userId, params);
      if (loaded.found) kept = this.keep(owner.userId, valueKey, generation, loaded);
      return loaded;
    } finally {
      // Who has asked does not wait for either: what is not kept is read again, and the lock ends by itself.
      if (isMine) void Promise.resolve(kept).finally(() => this.store.delete([lock]).catch(() => undefined));
    }
  }

  private async query<Params, T>(
    model: ReadModel<Params, T>,
    actor: Learner,
    ownerId: string,
    params: Params,
  ): Promise<Loaded> {
    const [row] = await this.database.query<Partial<ViewRow> & { mark: string }>(
      actor,
      `select mark_of(pg_current_snapshot()) as mark, view.* from (select) always left join (${model.sql}) view on true`,
      model.values(ownerId, params),
    );
    const { mark, json, etag } = row!;
    if (typeof json !== 'string' || typeof etag !== 'string') return { found: false, mark };
    return { found: true, mark, at: Date.now(), etag, json: await openSealedJson(this.keys, json) };
  }

  /** The generation that is current, and the view that was read under it: as it is remembered here, else from the store. */
  private async current<Params, T>(
    model: ReadModel<Params, T>,
    userId: string,
    params: Params,
    valueKey: string,
  ): Promise<Current> {
    const tagKey = generationKey(userId, model.tag(params));
    const remembered = this.remembered.get(valueKey);
    if (remembered) {
      const found = await this.fromStore([tagKey]);
      if (!found) return {};
      if (this.living(tagKey, found[0]) === remembered.generation)
        return { generation: remembered.generation, view: remembered };
    }
    const [generation, cached] = await this.generationAndCached(tagKey, valueKey);
    const envelope = cached && open(cached);
    if (!envelope || envelope.generation !== generation) return { generation };
    const json = await this.unsealed(userId, valueKey, envelope);
    if (json === undefined) return { generation };
    const view = { ...envelope, json };
    this.remembered.set(valueKey, view);
    return { generation, view };
  }

  /** The tag's generation, made if there is none, and what is cached under the key. Of several that make one, the first decides. */
  private async generationAndCached(tagKey: string, valueKey: string): Promise<[generation?: string, cached?: Buffer]> {
    const found = await this.fromStore([tagKey, valueKey]);
    if (!found) return [];
    const generation = this.living(tagKey, found[0]);
    if (generation !== undefined) return [generation, found[1]];
    try {
      if (found[0]) await this.store.delete([tagKey]);
      const mine = `${this.store.runOf(tagKey)}.${randomUUID()}`;
      if (await this.store.setIfAbsent(tagKey, mine, CACHE_TTL_SECONDS)) return [mine];
    } catch {
      return [];
    }
    const [first, loaded] = (await this.fromStore([tagKey, valueKey])) ?? []; // whose maker may have loaded the view by now
    return [this.living(tagKey, first), loaded];
  }

  /** A generation that was made in another run of the store may have been dropped there, and be back: it is as good as none. */
  private living(tagKey: string, generation: Buffer | undefined): string | undefined {
    const text = generation?.toString();
    return text?.startsWith(`${this.store.runOf(tagKey)}.`) ? text : undefined;
  }

  private async keep(userId: string, valueKey: string, generation: string, { mark, at, etag, json }: Found): Promise<void> {
    try {
      const view = { generation, mark, at, etag, json: typeof json === 'string' ? Buffer.from(json) : json };
      this.remembered.set(valueKey, view);
      await nextTurn(); // the answer goes first
      const sealed = (await this.keys.toSeal(userId)).sealCached(valueKey, headerOf(view), view.json);
      // Jitter, downwards only: what was cached together should not expire together.
      const ttl = CACHE_TTL_SECONDS - Math.floor(Math.random() * 0.1 * CACHE_TTL_SECONDS);
      await this.store.set(valueKey, seal({ ...view, json: sealed }), ttl);
    } catch {
      // It is only not kept.
    }
  }

  /** What does not open is as good as not there: its key has gone or is out of reach, or somebody has changed it. */
  private async unsealed(userId: string, valueKey: string, envelope: Envelope): Promise<Buffer | undefined> {
    try {
      return (await this.keys.toOpen(userId)).openCached(valueKey, headerOf(envelope), envelope.json);
    } catch {
      return undefined;
    }
  }

  /** undefined: the store does not answer. Then every request is a miss: slower, never wrong. */
  private async fromStore(keys: string[]): Promise<(Buffer | undefined)[] | undefined> {
    try {
      const values = await this.store.get(keys);
      return this.store.runOf(keys[0]!) === undefined ? undefined : values; // who has answered is not known yet
    } catch {
      return undefined;
    }
  }
}

/** Sealed with the value: neither goes with another one's. */
function headerOf({ generation, mark, etag }: Pick<Envelope, 'generation' | 'mark' | 'etag'>): string {
  return [generation, mark, etag].join(' ');
}

function generationKey(ownerId: string, tag: string): string {
  return `cache:{u:${ownerId}}:generation:${tag}`;
}

function isFresh({ mark }: { mark: string }, atLeast: Write | undefined): boolean {
  return atLeast === undefined || markSees(mark, atLeast);
}

/** Beside the view, in its slot: whoever sets it fills the view under this generation. */
function fillKey(valueKey: string, generation: string): string {
  return valueKey.replace('}:', `}:filling:${generation}:`);
}

function viewOf<T>(loaded: Loaded): View<T> | undefined {
  return loaded.found ? new View<T>(loaded.json, loaded.etag) : undefined;
}
