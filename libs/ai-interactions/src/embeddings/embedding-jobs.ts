import {
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
  type OnModuleInit,
} from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import { BACKGROUND, Database, DomainError, EventConsumers, SYSTEM, type Learner } from '@studently/platform';
import { InjectMetric } from '@willsoto/nestjs-prometheus';
import type { Counter, Gauge } from 'prom-client';
import { DocumentAdded, DocumentChanged, DocumentsImported } from '../ai-interactions.events';
import type { EmbeddedPassage } from '../commands/document-rows';
import { KeepEmbedding, type Embedding } from '../commands/keep-embedding';
import { EmbeddingsUnavailable } from '../domain/document.errors';
import { cutPassages } from '../domain/passages';
import { BATCH, LOCAL_MODEL, LocalEmbeddings } from './local-embeddings';

export const EMBEDDING_JOBS = 'studently_embedding_jobs';
export const EMBEDDED_PASSAGES = 'studently_embedded_passages_total';
export const FAILED_DOCUMENTS = 'studently_failed_documents_total';

const POLL_MS = 1000;
const MAX_ATTEMPTS = 5;
/** So many documents are worked on at the same time: a long one slows the others down, and holds up none. */
const LANES = 3;
const RENEW_AFTER_MS = 10_000;

/** For 30 s the job is ours, then whoever asks may have it. `available_at` tells one lease from another. */
const TAKE = `
  update embedding_jobs set attempts = attempts + 1, available_at = clock_timestamp() + interval '30 seconds'
  where (user_id, id) = (
    select user_id, id from embedding_jobs where available_at <= clock_timestamp()
    order by available_at, user_id, id limit 1 for update skip locked)
  returning user_id as "userId", id, attempts, available_at::text as lease`;
const OURS = 'where user_id = $1 and id = $2 and available_at = $3::timestamptz';
const RENEW = `
  update embedding_jobs set available_at = clock_timestamp() + interval '30 seconds' ${OURS} returning available_at::text as lease`;
const LATER = `
  update embedding_jobs set available_at = clock_timestamp() + $4 * interval '1 millisecond', attempts = $5 ${OURS}`;
const DONE = `delete from embedding_jobs ${OURS}`;
const COUNT = 'select count(*)::int as waiting from embedding_jobs';
const READ = `select content, version from documents where user_id = $1 and id = $2 and status = 'pending'`;

interface Job {
  userId: string;
  /** The document's. */
  id: string;
  /** This one included. */
  attempts: number;
  lease: string;
}

/** Somebody else works on the document by now, or it is gone. */
class LeaseLost extends Error {}

/**
 * Embeds documents in the background, in any number of processes. The queue holds ids alone; content is read and
 * written as its learner. What fails is tried again, later and later, and after the fifth time the document says so.
 */
@Injectable()
export class EmbeddingJobs implements OnModuleInit, OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger(EmbeddingJobs.name);
  private readonly lanes = new Set<Promise<void>>();
  private timer?: NodeJS.Timeout;
  private looking?: Promise<void>;
  private stopped = true;

  constructor(
    private readonly database: Database,
    private readonly commands: CommandBus,
    private readonly consumers: EventConsumers,
    private readonly embeddings: LocalEmbeddings,
    @InjectMetric(EMBEDDING_JOBS) private readonly waiting: Gauge,
    @InjectMetric(EMBEDDED_PASSAGES) private readonly embedded: Counter,
    @InjectMetric(FAILED_DOCUMENTS) private readonly failed: Counter,
    @Inject(BACKGROUND) private readonly background: boolean,
  ) {}

  onModuleInit(): void {
    const wake = async () => this.wake();
    this.consumers.on(DocumentAdded, wake);
    this.consumers.on(DocumentChanged, wake);
    this.consumers.on(DocumentsImported, wake);
  }

  onApplicationBootstrap(): void {
    if (!this.background) return;
    this.stopped = false;
    this.lookLater();
  }

  async onModuleDestroy(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await Promise.all([this.looking, ...this.lanes]);
  }

  /** What another process has left, or what has waited for its next attempt. */
  private lookLater(): void {
    this.timer = setTimeout(() => {
      this.looking = this.look().finally(() => this.stopped || this.lookLater());
    }, POLL_MS);
  }

  private async look(): Promise<void> {
    try {
      const [count] = await this.database.read<{ waiting: number }>(SYSTEM, COUNT);
      this.waiting.set(count!.waiting);
      if (count!.waiting > 0) this.wake();
    } catch (error) {
      this.noteOutage(error);
    }
  }

  /** Looks for work, in one lane more than now; a lane that finds some opens another. */
  private wake(): void {
    if (this.stopped || this.lanes.size >= LANES) return;
    const lane = this.workAll().finally(() => this.lanes.delete(lane));
    this.lanes.add(lane);
  }

  private async workAll(): Promise<void> {
    try {
      while (!this.stopped) {
        const [job] = await this.database.write<Job>(SYSTEM, TAKE);
        if (!job) return;
        this.wake();
        await this.work(job);
      }
    } catch (error) {
      this.noteOutage(error);
    }
  }

  /** The database is away; readiness says so, and the documents wait. */
  private noteOutage(error: unknown): void {
    this.logger.debug(`Embedding waits: ${error instanceof Error ? error.name : 'failure'}`);
  }

  private async work(job: Job): Promise<void> {
    const actor: Learner = { userId: job.userId, role: 'STUDENT' };
    const [document] = await this.database.read<{ content: string; version: number }>(actor, READ, [job.userId, job.id]);
    if (!document) return this.change(job, DONE);
    const { version } = document;
    const passages = cutPassages(document.content);
    const keep = (embedding: Omit<Embedding, 'version' | 'model'>) =>
      this.keep(actor, job, { version, model: LOCAL_MODEL, ...embedding });
    try {
      // A process that died of it did not say so.
      if (job.attempts > MAX_ATTEMPTS) return await keep({ passages, failure: 'EMBEDDING_FAILED' });
      await keep({ passages: await this.embed(job, passages) });
    } catch (error) {
      if (error instanceof LeaseLost) return;
      const isOurFault =
        this.stopped ||
        (error instanceof DomainError && error.kind === 'unavailable' && !(error instanceof EmbeddingsUnavailable));
      if (isOurFault) return this.change(job, LATER, 1000, job.attempts - 1);
      this.logger.warn(
        `A document could not be embedded (attempt ${job.attempts}): ${error instanceof Error ? error.name : 'failure'}`,
      );
      if (job.attempts < MAX_ATTEMPTS) return this.change(job, LATER, 500 * 2 ** job.attempts, job.attempts);
      await keep({ passages, failure: error instanceof EmbeddingsUnavailable ? error.failure : 'EMBEDDING_FAILED' });
    }
  }

  private async embed(job: Job, passages: readonly EmbeddedPassage[]): Promise<EmbeddedPassage[]> {
    const done: EmbeddedPassage[] = [];
    let renewed = Date.now();
    for (let from = 0; from < passages.length; from += BATCH) {
      const batch = passages.slice(from, from + BATCH);
      const embeddings = await this.embeddings.embedPassages(batch.map(({ content }) => content));
      done.push(...batch.map((passage, nr) => ({ ...passage, embedding: embeddings[nr] })));
      if (this.stopped) throw new Error('stopped');
      if (Date.now() - renewed < RENEW_AFTER_MS) continue;
      await this.renew(job);
      renewed = Date.now();
    }
    return done;
  }

  private async keep(actor: Learner, job: Job, embedding: Embedding): Promise<void> {
    const { kept } = (await this.commands.execute(new KeepEmbedding(actor, job.id, embedding))).value;
    // It has changed meanwhile: it is done again, and at once.
    if (!kept) return this.change(job, LATER, 0, job.attempts - 1);
    const count = embedding.passages.filter((passage) => passage.embedding).length;
    this.embedded.inc(count);
    if (count === 0) this.failed.inc();
  }

  private async renew(job: Job): Promise<void> {
    const [row] = await this.database.write<{ lease: string }>(SYSTEM, RENEW, [job.userId, job.id, job.lease]);
    if (!row) throw new LeaseLost();
    job.lease = row.lease;
  }

  private async change(job: Job, sql: string, ...values: number[]): Promise<void> {
    await this.database.write(SYSTEM, sql, [job.userId, job.id, job.lease, ...values]);
  }
}
