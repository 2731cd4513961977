import { setTimeout as sleep } from 'node:timers/promises';
import { newLearner, type Answer, type HttpClient, type TestLearner } from '../../support/http';

export interface Served {
  what: string;
  tookMs: number;
  /** undefined: there was none */
  status?: number;
  isWell: boolean;
}

/** Learners who use their chats through one release and the other, one after the other or both. */
export class Load {
  private readonly ending = new AbortController();
  private lanes: Promise<void>[] = [];
  private served: Served[] = [];

  /** @param releases names and addresses of the APIs; each lane goes on with another one for each request */
  private constructor(private releases: Map<string, HttpClient>) {}

  static async start(releases: Map<string, HttpClient>, lanes: number, random: () => number): Promise<Load> {
    const load = new Load(releases);
    const [any] = releases.values();
    const learners = await Promise.all(Array.from({ length: lanes }, () => newLearner(any!)));
    load.lanes = learners.map((learner) => load.lane(learner, random));
    return load;
  }

  /** From now on these answer. */
  use(releases: Map<string, HttpClient>): void {
    this.releases = releases;
  }

  take(): Served[] {
    const { served } = this;
    this.served = [];
    return served;
  }

  async stop(): Promise<void> {
    this.ending.abort();
    await Promise.all(this.lanes);
  }

  private async lane(learner: TestLearner, random: () => number): Promise<void> {
    const chats: { id: string; title: string }[] = [];
    while (!this.ending.signal.aborted) {
      const [name, http] = [...this.releases][Math.floor(random() * this.releases.size)]!;
      const step = new Requests(http.as(learner.token), (served) =>
        this.served.push({ ...served, what: `${name}: ${served.what}` }),
      );
      const chat = chats[Math.floor(random() * chats.length)];
      const dice = random();
      if (!chat || (chats.length < 40 && dice < 0.15)) chats.push(...(await step.begin(`Plan ${Math.floor(random() * 1e9)}`)));
      else if (dice < 0.35) chat.title = (await step.rename(chat.id, `Idea ${Math.floor(random() * 1e9)}`)) ?? chat.title;
      else if (dice < 0.5) await step.say(chat.id);
      else if (dice < 0.75) await step.find(chat);
      else await step.read(chat);
      await sleep(5);
    }
  }
}

/** One request, or two that belong together, and what has to be in the answer. */
class Requests {
  constructor(
    private readonly http: HttpClient,
    private readonly note: (served: Served) => void,
  ) {}

  async begin(title: string): Promise<{ id: string; title: string }[]> {
    const answer = await this.ask('begin a chat', () => this.http.post('/v1/chats', { title }));
    return answer ? [{ id: answer.body.id, title }] : [];
  }

  /** By its ETag: a backfill that changes a version would have it refused. */
  async rename(id: string, title: string): Promise<string | undefined> {
    const read = await this.ask('read a chat', () => this.http.get(`/v1/chats/${id}`));
    const etag = read?.headers.get('etag');
    if (!etag) return undefined;
    const options = { headers: { 'if-match': etag } };
    return (await this.ask('rename it', () => this.http.patch(`/v1/chats/${id}`, { title }, options))) && title;
  }

  async say(id: string): Promise<void> {
    await this.ask('say something', () => this.http.post(`/v1/chats/${id}/messages`, { role: 'user', content: 'Why?' }));
  }

  async find({ id, title }: { id: string; title: string }): Promise<void> {
    const isFound = ({ body }: Answer) => body.items.some((item: { id: string }) => item.id === id);
    await this.ask(
      'find it by its title',
      () => this.http.get(`/v1/chats?limit=100&title=${encodeURIComponent(title)}`),
      isFound,
    );
  }

  async read({ id, title }: { id: string; title: string }): Promise<void> {
    await this.ask(
      'read what was written',
      () => this.http.get(`/v1/chats/${id}`),
      ({ body }) => body.title === title,
    );
  }

  private async ask(what: string, send: () => Promise<Answer>, isRight = (_: Answer) => true): Promise<Answer | undefined> {
    const sent = performance.now();
    const answer = await send().catch(() => undefined);
    const isWell = answer !== undefined && answer.status < 300 && isRight(answer);
    this.note({ what, tookMs: performance.now() - sent, status: answer?.status, isWell });
    return isWell ? answer : undefined;
  }
}
