import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CommandBus, QueryBus } from '@nestjs/cqrs';
import { CountDocuments, ImportDocuments, StartChat } from '@studently/ai-interactions';
import { HasUsers, RegisterUser } from '@studently/identity';
import {
  ConfigurationError,
  isRejection,
  takeInChunks,
  type BulkLine,
  type Learner,
  type Rejection,
} from '@studently/platform';
import { ImportStudyItems, type ImportedStudyItem } from '@studently/study';
import { readCountries } from './countries';
import { knownId } from './known-id';
import { readMarkdown } from './markdown';
import { packageFolder } from './package-folder';
import { sampleChats } from './sample-chats';
import { SampleLogins, type SampleLogin } from './sample-logins';
import { SIMULATED, simulateReviews } from './simulated-reviews';
import { readWordnet } from './wordnet';

type Cards = AsyncIterable<BulkLine<ImportedStudyItem> | Rejection>;

/** Invented. */
const PEOPLE = {
  ada: { firstName: 'Ada', lastName: 'Fernwald', holds: "1,000 WordNet cards, Fastify's guides, two chats" },
  bruno: { firstName: 'Bruno', lastName: 'Castellan', holds: 'the country cards' },
  chiara: { firstName: 'Chiara', lastName: 'Lindqvist', holds: 'a few cards of both' },
};
type Name = keyof typeof PEOPLE;
const NAMES = Object.keys(PEOPLE) as Name[];

const learner = (name: Name): Learner => ({ userId: knownId('sample learner', name), role: 'STUDENT' });

/** What a newcomer's first search is about. */
const ASKED_FOR = 'Validation and Serialization';

/** How far the documents of the sample are. */
export interface EmbeddingProgress {
  embedded: number;
  total: number;
}

/**
 * What a first start is filled with: three learners with cards, simulated reviews, chats and documents. It is made once,
 * in a database without users. Killed in the middle, the next start goes on; nothing is doubled.
 */
export class Sample {
  /** Whom this start has made; their passwords are shown now and never again. */
  readonly fresh: (SampleLogin & { holds: string })[] = [];
  /** What could not be made, and what it takes. */
  readonly warnings = new Set<string>();

  private constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
    private readonly logins: SampleLogins,
  ) {}

  /** Makes what a start waits for. @returns undefined where there are users, but no sample */
  static async prepare(commands: CommandBus, queries: QueryBus, dataDir: string): Promise<Sample | undefined> {
    const logins = new SampleLogins(resolve(dataDir, 'sample'));
    if (!logins.exist) {
      if (await queries.execute(new HasUsers())) return undefined;
      await logins.invent(NAMES);
    }
    const sample = new Sample(commands, queries, logins);
    if (!logins.isComplete) await sample.makeLearners(new Date());
    return sample;
  }

  /** Holds e-mail address and password of the learner who has some of everything; undefined if somebody has removed it. */
  get loginFile(): string | undefined {
    const file = this.logins.fileOf('ada');
    return existsSync(file) ? file : undefined;
  }

  /** Makes what need not be waited for, and follows the embedding of the documents to its end. */
  async finish(tell: (progress: EmbeddingProgress) => void, signal: AbortSignal): Promise<void> {
    if (!this.logins.isComplete) {
      await this.importGuides((title) => title === ASKED_FOR); // to be embedded first
      await this.importGuides(() => true);
      await this.logins.complete();
    }
    for (let last = 0; !signal.aborted; await sleep(500)) {
      const { pending, ready, failed } = (await this.queries.execute(new CountDocuments(learner('ada')))).value;
      if (pending !== last) tell({ embedded: ready, total: pending + ready + failed });
      if (pending === 0) return;
      last = pending;
    }
  }

  private async importGuides(wanted: (title: string | null) => boolean): Promise<void> {
    const guides = readMarkdown(join(packageFolder('fastify'), 'docs'), 'fastify');
    await takeInChunks(
      only(guides, ({ title }) => wanted(title)),
      (chunk) => this.commands.execute(new ImportDocuments(learner('ada'), chunk, 'sample guides')),
    );
  }

  private async makeLearners(now: Date): Promise<void> {
    for (const name of NAMES) {
      const { firstName, lastName, holds } = PEOPLE[name];
      const login = await this.logins.of(name);
      const { userId: id } = learner(name);
      await this.commands.execute(new RegisterUser({}, { id, ...login, profile: { firstName, lastName } }));
      this.fresh.push({ ...login, holds });
    }
    await this.importCards('ada', 'wordnet', reviewed(first(1000, only(readWordnet(['adj']), hasExamples)), 25, now));
    await this.importCards('bruno', 'countries', reviewed(readCountries(), 40, now));
    await this.importCards('chiara', 'wordnet', reviewed(first(40, only(readWordnet(['verb']), hasExamples)), 3, now));
    await this.importCards('chiara', 'countries', first(20, readCountries()));
    for (const chat of sampleChats()) await this.commands.execute(new StartChat(learner('ada'), chat));
  }

  private async importCards(name: Name, deck: string, cards: Cards): Promise<void> {
    try {
      await takeInChunks(cards, (chunk) => this.commands.execute(new ImportStudyItems(learner(name), chunk, `sample ${deck}`)));
    } catch (error) {
      if (!(error instanceof ConfigurationError)) throw error;
      this.warnings.add(`The sample goes without some of its cards. ${error.message}`);
    }
  }
}

async function* first<L>(count: number, lines: AsyncIterable<L>): AsyncGenerator<L> {
  let taken = 0;
  for await (const line of lines) {
    yield line;
    if (++taken === count) return;
  }
}

async function* only<T>(
  lines: AsyncIterable<BulkLine<T> | Rejection>,
  wanted: (value: T) => boolean,
): AsyncGenerator<BulkLine<T> | Rejection> {
  for await (const line of lines) if (isRejection(line) || wanted(line.value)) yield line;
}

const hasExamples = ({ content }: ImportedStudyItem) => content['examples'] !== undefined;

async function* reviewed(cards: Cards, newADay: number, now: Date): AsyncGenerator<BulkLine<ImportedStudyItem> | Rejection> {
  let index = 0;
  for await (const card of cards) {
    const reviews = isRejection(card) ? [] : simulateReviews(index++, newADay, now);
    if (isRejection(card) || reviews.length === 0) yield card;
    else yield { ...card, value: { ...card.value, tags: [...(card.value.tags ?? []), SIMULATED], reviews } };
  }
}
