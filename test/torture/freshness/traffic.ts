import { setTimeout as sleep } from 'node:timers/promises';
import { newLearner, type Answer, type HttpClient } from '../../support/http';
import { withClient } from '../../support/servers';
import { DATABASE } from '../../support/platform';
import type { History } from './history';
import type { Stage } from './stage';
import { makeThings, type Thing } from './things';

const LEARNERS = 4;
const IN_FLIGHT = 24;
/** After no answer. */
const PAUSE_MS = 20;
const WRITES = 0.12;
/** Of the reads. */
const WITH_TOKEN = 0.3;

/** A thing, and what is known of it. */
interface Subject extends Thing {
  name: string;
  userId: string;
  token: string;
  /** How many writes were acknowledged. */
  number: number;
  isBeingWritten: boolean;
  /** What the last acknowledged write has answered. */
  last?: { level: number; readToken: string };
}

/** Random reads and writes over all processes, written down. */
export class Traffic {
  done = 0;
  /** Not answered, or by 503: while there is trouble that may be. */
  failed = 0;
  failedReads = 0;
  writes = 0;

  private constructor(
    private readonly stage: Stage,
    private readonly history: History,
    private readonly subjects: Subject[],
  ) {}

  static async prepare(stage: Stage, history: History): Promise<Traffic> {
    const subjects: Subject[] = [];
    for (let index = 0; index < LEARNERS; index++) {
      const learner = await newLearner(stage.nodes[0]!.http);
      for (const [kind, thing] of (await makeThings(learner)).entries()) {
        const { id: userId, token } = learner;
        subjects.push({
          ...thing,
          name: `${index}/${kind} ${thing.paths[0]}`,
          userId,
          token,
          number: 0,
          isBeingWritten: false,
        });
      }
    }
    return new Traffic(stage, history, subjects);
  }

  /** Goes on until so many operations are done, or it is told to stop. */
  async flow(operations: number, ended: AbortSignal): Promise<void> {
    const lane = async () => {
      while (this.done < operations && !ended.aborted) await this.one();
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
  }

  /** What PostgreSQL says is true, whoever has been told. */
  async tellTruth(): Promise<void> {
    await withClient(this.stage.postgres.url(DATABASE), async (client) => {
      for (const { name, truth, userId, id } of this.subjects) {
        const sent = performance.now();
        const { rows } = await client.query<{ level: number }>(truth, [userId, id]);
        this.history.record({ kind: 'read', thing: name, level: rows[0]!.level, sent, answered: performance.now() });
      }
    });
  }

  private async one(): Promise<void> {
    const { context, nodes } = this.stage;
    // Some things are asked for far more often than others.
    const subject = this.subjects[Math.min(context.below(this.subjects.length), context.below(this.subjects.length))]!;
    const http = context.pick(nodes).http.as(subject.token);
    if (context.random() < WRITES && !subject.isBeingWritten) await this.write(subject, http);
    else await this.read(subject, http);
  }

  private async write(subject: Subject, http: HttpClient): Promise<void> {
    subject.isBeingWritten = true;
    const number = subject.number + 1;
    const { method, path, body } = subject.write(number);
    const sent = performance.now();
    const answer = await this.answerTo(() => http.send(method, path, body));
    if (answer) {
      const level = subject.madeBy(answer.body, number);
      this.history.record({ kind: 'write', thing: subject.name, level, sent, answered: performance.now() });
      subject.number = number;
      subject.last = { level, readToken: answer.headers.get('x-read-token')! };
      this.writes += 1;
    }
    subject.isBeingWritten = false;
  }

  private async read(subject: Subject, http: HttpClient): Promise<void> {
    const token = this.stage.context.random() < WITH_TOKEN ? subject.last : undefined;
    const headers: Record<string, string> = token ? { 'x-read-token': token.readToken } : {};
    const sent = performance.now();
    const answer = await this.answerTo(() => http.get(this.stage.context.pick(subject.paths), { headers }));
    if (!answer) return void (this.failedReads += 1);
    const level = subject.levelOf(answer.body);
    this.history.record({ kind: 'read', thing: subject.name, level, sent, answered: performance.now(), token: token?.level });
  }

  private async answerTo(ask: () => Promise<Answer>): Promise<Answer | undefined> {
    const answer = await ask().catch(() => undefined); // its process has been killed
    if (answer && answer.status < 300) {
      this.done += 1;
      return answer;
    }
    if (answer && answer.status !== 503) throw new Error(`Unexpected answer ${answer.status}: ${answer.text}`);
    this.failed += 1;
    await sleep(PAUSE_MS);
    return undefined;
  }
}
