import { DomainError, withOwner, type DatabaseTarget, type OwnerQuery } from '@studently/platform';
import { GATE, type GateQuestion, type GateResult } from './recall-gate';

export interface SpaceStatus {
  space: number;
  model: string;
  /** One of which `cleanup` has begun to remove vectors never answers again. */
  state: 'filling' | 'serving' | 'retired' | 'removing';
  url: string | null;
  since: Date;
  vectors: number;
  /** Passages and messages that have a vector where it is served, and none here. */
  lacking: number;
  /** Whether every document and every chat that was there has had its turn, or waits for it as a job. */
  isReached: boolean;
}

export interface MigrationStatus {
  spaces: SpaceStatus[];
  /** Documents and chats that wait for vectors, and those that were given up: see `studently jobs`. */
  waiting: number;
  dead: number;
  /** Vectors a second, since it began; and how long it still takes. */
  perSecond: number;
  secondsLeft: number | null;
}

/** What was asked for cannot be done now: the message says why, and what to do. */
export class MigrationRefused extends DomainError {
  constructor(message: string) {
    super('conflict', 'MIGRATION_REFUSED', message);
  }
}

/** Asked for a sample of passages in both spaces. */
type Gate = (questions: GateQuestion[], spaces: { now: number; before: number }) => Promise<GateResult>;

const STATUS = `
  select s.space, s.model, s.state, s.url, s.since, s.is_reached as "isReached",
    ((select count(*) from passage_vectors v where v.space = s.space)
      + (select count(*) from turn_vectors v where v.space = s.space))::int as vectors,
    ((select count(*) from passage_vectors v join vector_spaces serving on serving.space = v.space and serving.state = 'serving'
      where not exists (
        select from passage_vectors o where o.user_id = v.user_id and o.passage_id = v.passage_id and o.space = s.space))
      + (select count(*) from turn_vectors v join vector_spaces serving on serving.space = v.space and serving.state = 'serving'
      where not exists (
        select from turn_vectors o where o.user_id = v.user_id and o.turn_id = v.turn_id and o.space = s.space)))::int as lacking
  from vector_spaces s where s.state <> 'supplied' order by s.space`;
const JOBS = `
  select count(*) filter (where dead_at is null)::int as waiting, count(dead_at)::int as dead from jobs where job in ('fill-document', 'fill-chat')`;
const SAMPLE = `
  with sample as materialized (
    select user_id, passage_id from passage_vectors where space = $1 order by md5(id::text) limit $3
  )
  select s.user_id as "userId", n.embedding::text as now, o.embedding::text as before
  from sample s
  join passage_vectors n on n.user_id = s.user_id and n.passage_id = s.passage_id and n.space = $1
  join passage_vectors o on o.user_id = s.user_id and o.passage_id = s.passage_id and o.space = $2`;
const TABLES = ['passage_vectors', 'turn_vectors'];
const dropOf = (table: string) =>
  `delete from ${table} where (user_id, id) in (select user_id, id from ${table} where space = $1 limit 1000) returning id`;

/** Of the space that does not answer. */
const BESIDE = `state not in ('supplied', 'serving')`;
const PUBLISHED = 'select count(*)::int as count from published_documents where space = $1';

const QUESTIONS = 200;

/** Changes the model that answers, without a moment in which none does. By the login of migrations. */
export class SpaceMigration {
  constructor(private readonly target: DatabaseTarget) {}

  status(): Promise<MigrationStatus> {
    return this.asOwner(statusOf);
  }

  /** Adds a space, which workers begin to fill. @throws MigrationRefused */
  start(model: string, url: string | null): Promise<void> {
    return this.asOwner(async (query) => {
      await query('lock table vector_spaces in share row exclusive mode'); // one at a time; vectors still come in
      const { spaces } = await statusOf(query);
      refuseStart(spaces, model);
      await query(`insert into vector_spaces (model, state, url) values ($1, 'filling', $2)`, [model, url]);
    });
  }

  /** @param isForced whatever is missing. @returns what the gate has found. @throws MigrationRefused */
  async cutover(gate: Gate, isForced: boolean, isDry: boolean): Promise<GateResult> {
    const [spaces, questions] = await this.asOwner(async (query) => {
      const status = await statusOf(query);
      const filling = spaceIn(status, 'filling');
      if (!isForced) refuseUnfilled(filling, status);
      const serving = spaceIn(status, 'serving');
      const sample = await query<{ userId: string; now: string; before: string }>(SAMPLE, [
        filling.space,
        serving.space,
        QUESTIONS,
      ]);
      return [{ now: filling.space, before: serving.space }, sample] as const;
    });
    const result = await gate(
      questions.map(({ userId, now, before }) => ({ userId, now: read(now), before: read(before) })),
      spaces,
    );
    if (result.recall < GATE && !isForced) {
      throw new MigrationRefused(
        `Searches find ${result.recall.toFixed(3)} of what is nearest in the new space, below ${GATE}.`,
      );
    }
    if (!isDry) await this.exchange('retired', 'filling');
    return result;
  }

  /**
   * Has the model before answer again; the other one may take over again later.
   * @param isForced also while vectors are still to be made
   * @returns how many passages and messages have no vector of it
   * @throws MigrationRefused
   */
  async rollback(isForced: boolean, isDry: boolean): Promise<number> {
    const status = await this.status();
    const retired = spaceIn(status, 'retired');
    if (!isForced) refuseUnfilled(retired, status);
    if (!isDry) await this.exchange('filling', 'retired');
    return retired.lacking;
  }

  /** How many vectors `cleanup` would remove. @throws MigrationRefused */
  async removable(): Promise<number> {
    return this.asOwner(async (query) => {
      const removed = await spaceToRemove(query);
      return (await statusOf(query)).spaces.find(({ space }) => space === removed)!.vectors;
    });
  }

  /**
   * Removes the vectors that do not answer; interrupted, it goes on when it is called again.
   * @param tell hears how many are gone
   * @throws MigrationRefused
   */
  async cleanup(tell: (removed: number) => void): Promise<number> {
    const space = await this.asOwner(async (query) => {
      const space = await spaceToRemove(query);
      // From now on it cannot take over. Nobody makes vectors for it any more; who does just now fails, and tries again without it.
      const begun = `update vector_spaces set state = 'removing', since = now() where space = $1 and ${BESIDE} returning space`;
      if ((await query(begun, [space])).length === 0) throw changedMeanwhile();
      return space;
    });
    let removed = 0;
    for (const table of TABLES) {
      for (let some = 1; some > 0; removed += some) {
        some = (await this.asOwner((query) => query(dropOf(table), [space]))).length;
        tell(some);
      }
    }
    await this.asOwner(async (query) => {
      await query(`lock table ${TABLES.join(', ')} in share mode`); // whoever has added one since then is waited for
      for (const table of TABLES) await query(`delete from ${table} where space = $1`, [space]);
      await query(`delete from vector_spaces where space = $1 and state = 'removing'`, [space]);
    });
    return removed;
  }

  /** In one transaction: the space in state `next` serves, and the one that did is `former`. */
  private exchange(former: 'filling' | 'retired', next: 'filling' | 'retired'): Promise<void> {
    return this.asOwner(async (query) => {
      const [serving] = await query<{ space: number }>(`select space from vector_spaces where state = 'serving' for update`);
      const [other] = await query<{ space: number }>('select space from vector_spaces where state = $1 for update', [next]);
      if (!other) throw changedMeanwhile();
      const set = 'update vector_spaces set state = $2, since = now() where space = $1';
      await query(set, [serving!.space, former]);
      await query(set, [other.space, 'serving']);
    });
  }

  private asOwner<T>(work: (query: OwnerQuery) => Promise<T>): Promise<T> {
    return withOwner(this.target, work);
  }
}

async function statusOf(query: OwnerQuery): Promise<MigrationStatus> {
  const spaces = await query<SpaceStatus>(STATUS);
  const [jobs] = await query<{ waiting: number; dead: number }>(JOBS);
  const filling = spaces.find(({ state }) => state === 'filling');
  const perSecond = filling ? filling.vectors / Math.max(1, (Date.now() - filling.since.getTime()) / 1000) : 0;
  const secondsLeft = filling && perSecond > 0 ? Math.round(filling.lacking / perSecond) : null;
  return { spaces, ...jobs!, perSecond: Math.round(perSecond * 10) / 10, secondsLeft };
}

function spaceIn({ spaces }: MigrationStatus, state: SpaceStatus['state']): SpaceStatus {
  const found = spaces.find((space) => space.state === state);
  if (found) return found;
  const removed = spaces.find((space) => space.state === 'removing');
  if (removed) {
    throw new MigrationRefused(
      `The vectors of ${removed.model} are being removed: \`embeddings migrate cleanup\` again, should it have been interrupted.`,
    );
  }
  const advice = state === 'filling' ? 'Begin with `embeddings migrate start`.' : 'The vectors of the model before are gone.';
  throw new MigrationRefused(`There is no other model. ${advice}`);
}

function refuseStart(spaces: readonly SpaceStatus[], model: string): void {
  const other = spaces.find(({ state }) => state !== 'serving');
  if (other) {
    throw new MigrationRefused(
      `There are vectors of ${other.model} beside those that answer: \`embeddings migrate cleanup\` removes them.`,
    );
  }
  if (spaces.some((space) => space.model === model)) throw new MigrationRefused(`${model} has its vectors already.`);
  if (model === 'client') throw new MigrationRefused('`client` is the name of vectors that clients bring.');
}

/** One that has answered has been complete: it lacks what jobs are to bring. */
function refuseUnfilled({ model, state, isReached }: SpaceStatus, { waiting, dead }: MigrationStatus): void {
  if (state === 'filling' && !isReached) {
    throw new MigrationRefused('It is not filled yet: see `embeddings migrate status`; `--force` does not wait.');
  }
  if (waiting > 0) {
    throw new MigrationRefused(
      `${waiting} documents or chats wait for vectors of ${model}, and would be found by words alone until they have them. ` +
        'Wait until `embeddings migrate status` says that none does. Where some always do, as people go on writing, `--force` takes it as it is: the workers bring the rest.',
    );
  }
  if (dead > 0) {
    throw new MigrationRefused(
      `${dead} documents or chats were given up: \`jobs list\` says why; \`jobs retry\` them, or \`jobs drop\` them.`,
    );
  }
}

const changedMeanwhile = () => new MigrationRefused('Somebody else has just changed it: look at `embeddings migrate status`.');

/** The one that does not answer. A published copy keeps its vectors until it is published anew. @throws MigrationRefused */
async function spaceToRemove(query: OwnerQuery): Promise<number> {
  const [other] = await query<{ space: number }>(`select space from vector_spaces where ${BESIDE}`);
  if (!other) throw new MigrationRefused('There is nothing to clean up: only the model that answers has vectors.');
  const [published] = await query<{ count: number }>(PUBLISHED, [other.space]);
  if (published!.count === 0) return other.space;
  throw new MigrationRefused(
    `${published!.count} published documents have vectors of it: first their owners publish them anew, or withdraw them (PUT or DELETE /v1/documents/{id}/publication).`,
  );
}

const read = (vector: string) => JSON.parse(vector) as number[];
