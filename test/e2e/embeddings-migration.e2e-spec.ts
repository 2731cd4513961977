import { setTimeout as sleep } from 'node:timers/promises';
import { describeEachServed, waysToRun } from '../support/api-process';
import { sql } from '../support/database';
import type { Answer, TestLearner } from '../support/http';
import { OpenAiServer } from '../support/openai-server';
import { studently } from '../support/studently';
import { RunningApi, until } from './support';

const OLD = 'text-embedding-3-small';
const NEW = 'text-embedding-3-large';
const TOPICS = 'grass moon river planet engine number theory colour music history'.split(' ');
const textOf = (nr: number) => `Document ${nr} tells of the ${TOPICS[nr % 10]} and of the ${TOPICS[(nr * 7 + 3) % 10]}.`;
const supplied = [1, ...Array<number>(1535).fill(0)];

describeEachServed(
  'studently embeddings migrate',
  (way) => {
    let server: OpenAiServer;
    beforeAll(async () => {
      server = await OpenAiServer.start();
    });
    const settings = {
      EMBEDDINGS_PROVIDER: 'openai',
      get EMBEDDINGS_URL() {
        return server.url;
      },
    };
    const run = new RunningApi(way, settings, { withWorker: true });
    afterAll(() => server.stop());

    let ada: TestLearner;
    let moon: string;
    const reads = { failed: [] as string[], count: 0, isOver: false, done: Promise.resolve() };
    const rows = <Row extends object>(text: string, values: unknown[] = []) => sql<Row>(run.databaseUrl, text, values);
    const migrate = async (...args: string[]) => {
      const environment = { ...run.settings, EMBEDDINGS_URL: server.url, DATABASE_MIGRATION_URL: run.databaseUrl };
      const { code, out, err } = await studently(environment, '--json', 'embeddings', 'migrate', ...args);
      return { code, err, answer: out === '' ? undefined : JSON.parse(out) };
    };
    const search = (body: object): Promise<Answer> => ada.http.post('/v1/documents/search', body);
    const add = async (content: string): Promise<string> => {
      const { body } = await ada.http.post('/v1/documents', { type: 'text', content });
      await until(async () => (await ada.http.get(`/v1/documents/${body.id}`)).body.status === 'ready', 60_000);
      return body.id;
    };
    /** A chat with this message, which has its vector. */
    const talk = async (content: string): Promise<string> => {
      const { body } = await ada.http.post('/v1/chats', { title: 'A talk', messages: [{ role: 'user', content }] });
      await until(async () => (await turnSpacesOf(body.id)).length > 0, 60_000);
      return body.id;
    };
    const turnSpacesOf = (id: string) =>
      rows<{ model: string }>(
        'select s.model from turn_vectors v join vector_spaces s using (space) where v.chat_id = $1 order by 1',
        [id],
      ).then((found) => found.map(({ model }) => model));
    /** The chat that is nearest to what this model says of a text. */
    const chatNearest = async (text: string, model: string): Promise<string> => {
      const headers = { 'content-type': 'application/json' };
      const asking = JSON.stringify({ model, input: [text] });
      const answer = (await (await fetch(`${server.url}/embeddings`, { method: 'POST', headers, body: asking })).json()) as {
        data: [{ embedding: number[] }];
      };
      const { body } = await ada.http.post('/v1/chats/search', { vector: answer.data[0].embedding, k: 1 });
      return body.items[0].message && body.items[0].chat.id;
    };
    const spacesOf = (id: string) =>
      rows<{ model: string }>(
        `select s.model from passage_vectors v join vector_spaces s using (space) where v.document_id = $1 order by 1`,
        [id],
      ).then((found) => found.map(({ model }) => model));
    const hasSpaces = (id: string, count: number) => until(async () => (await spacesOf(id)).length === count, 60_000);
    /** Which model the questions go to now. */
    const asked = async () => {
      server.requests.length = 0;
      await search({ text: 'theory', mode: 'vector' });
      return server.requests.find(({ input }) => input[0] === 'theory')?.model;
    };

    /** Until it is over, somebody asks: each answer has to be a good one. */
    async function keepReading(): Promise<void> {
      for (let nr = 0; !reads.isOver; nr++, await sleep(20)) {
        const topic = TOPICS[nr % 10]!;
        const body = [{ text: topic, mode: 'vector' }, { text: topic }, { vector: supplied, k: 3 }][nr % 3]!;
        const { status, body: answer } = await search({ k: 5, ...body });
        reads.count++;
        const isGood =
          status === 200 &&
          answer.items.length === (body.vector ? 3 : 5) &&
          answer.meta.strategy !== 'text' &&
          (body.vector ? answer.items[0].passage.text === 'supplied' : answer.items[0].passage.text.includes(topic));
        if (!isGood)
          reads.failed.push(`${JSON.stringify(body).slice(0, 60)}: ${status} ${JSON.stringify(answer).slice(0, 500)}`);
      }
    }

    beforeAll(async () => {
      ada = await run.newLearner();
      const lines = Array.from({ length: 60 }, (_, nr) => JSON.stringify({ type: 'text', content: textOf(nr) }));
      lines.push(JSON.stringify({ type: 'text', content: 'supplied', embedding: supplied }));
      const headers = { 'content-type': 'application/x-ndjson' };
      await ada.http.send('POST', '/v1/documents/bulk', lines.join('\n'), { headers });
      await until(async () => (await rows(`select 1 from documents where status = 'ready'`)).length === 61, 120_000);
      [moon] = [await talk('The moon goes round the earth.'), await talk('Primes are numbers.')];
      reads.done = keepReading();
    }, 180_000);
    afterAll(async () => {
      reads.isOver = true;
      await reads.done;
    });

    it('AI-11 says what it wants, and refuses what cannot be', async () => {
      expect((await migrate('cutover')).code).toBe(1);
      expect((await migrate('rollback')).code).toBe(1);
      expect((await migrate('cleanup')).err).toContain('nothing to clean up');
      expect((await migrate('start', '--provider', 'magic')).code).toBe(64);
      expect((await migrate('start', '--url', 'here')).code).toBe(64);
      expect((await migrate('start', '--model', OLD)).err).toContain('has its vectors already');
      expect((await migrate('start', '--model', NEW, '--url', 'http://127.0.0.1:9/v1')).code).toBe(1); // nobody answers there
      expect((await migrate('start', '--model', NEW, '--dry-run')).answer).toEqual({ model: NEW, url: null, dryRun: true });
      const { answer } = await migrate('status');
      expect(answer.spaces).toMatchObject([{ model: OLD, state: 'serving', vectors: 62, lacking: 0 }]);
      const help = await studently({}, 'embeddings', 'migrate', 'start', '--help');
      expect([help.code, help.out]).toEqual([0, expect.stringContaining('Example:')]);
    }, 240_000);

    it('AI-11 a second space is filled in the background; what is added meanwhile is in both; the first one answers', async () => {
      expect(await migrate('start', '--model', NEW)).toMatchObject({ code: 0, answer: { model: NEW, started: true } });
      expect(await migrate('cutover')).toMatchObject({ code: 1, err: expect.stringContaining('not filled yet') });
      expect((await migrate('start', '--model', 'a-third-one')).err).toContain('cleanup');
      const added = await add('A new document tells of the grass.');
      await hasSpaces(added, 2);
      expect(await asked()).toBe(OLD);
      const status = await until(async () => {
        const { answer } = await migrate('status');
        return answer.spaces[1].isReached && answer.waiting === 0 && answer;
      }, 120_000);
      expect(status).toMatchObject({
        dead: 0,
        spaces: [{ vectors: 63 }, { model: NEW, state: 'filling', vectors: 63, lacking: 0 }],
      });
      expect(await asked()).toBe(OLD);
    }, 240_000);

    it('AI-11 it takes over when its recall is right, and back, and what is added meanwhile is found by both', async () => {
      expect((await migrate('cutover', '--dry-run')).answer).toMatchObject({ questions: 61, recall: 1, dryRun: true });
      expect(await asked()).toBe(OLD);
      const { answer, code } = await migrate('cutover');
      expect([code, answer.recall >= 0.99, answer.overlap > 0.3]).toEqual([0, true, true]);
      await until(async () => (await asked()) === NEW);
      const added = await add('Another document tells of an elephant.');
      await hasSpaces(added, 2);
      expect(await chatNearest('moon', NEW)).toBe(moon);
      const elephant = await talk('Elephants remember.');
      await until(async () => (await turnSpacesOf(elephant)).length === 2, 60_000);

      await until(async () => (await migrate('status')).answer.waiting === 0, 60_000);
      expect(await migrate('rollback')).toMatchObject({ code: 0, answer: { lacking: 0, dryRun: false } });
      await until(async () => (await asked()) === OLD);
      expect(await chatNearest('moon', OLD)).toBe(moon);
      const { body } = await search({ text: 'elephant', mode: 'vector', k: 1 });
      expect(body.items).toMatchObject([{ document: { id: added } }]);
    }, 240_000);

    it('AI-11 the vectors of the model before are removed when nobody wants them any more', async () => {
      expect((await migrate('cutover')).code).toBe(0);
      await until(async () => (await asked()) === NEW);
      expect((await migrate('cleanup', '--dry-run')).answer).toEqual({ vectors: 65, dryRun: true });
      await rows(
        `insert into published_documents (user_id, id, type, metadata, space, vectors)
       select d.user_id, d.id, d.type, d.metadata, s.space, 1 from documents d, vector_spaces s where s.model = $1 limit 1`,
        [OLD],
      );
      const refused = { code: 1, err: expect.stringContaining('1 published documents') };
      expect(await migrate('cleanup', '--dry-run')).toMatchObject(refused);
      expect(await migrate('cleanup')).toMatchObject(refused);
      expect((await migrate('status')).answer.spaces).toMatchObject([{ model: OLD, vectors: 65 }, { model: NEW }]);
      await rows('delete from published_documents');
      expect((await migrate('cleanup')).answer).toEqual({ removed: 65 });
      expect((await migrate('status')).answer.spaces).toMatchObject([{ model: NEW, state: 'serving', vectors: 65 }]);
      expect((await migrate('rollback')).err).toContain('gone');
      const added = await add('The last document tells of a giraffe.');
      expect(await spacesOf(added)).toEqual([NEW]);
      expect((await search({ text: 'giraffe', mode: 'vector', k: 1 })).body.items).toMatchObject([{ document: { id: added } }]);
    }, 240_000);

    it('AI-11 nobody who searched meanwhile has missed anything', async () => {
      reads.isOver = true;
      await reads.done;
      expect(reads.failed).toEqual([]);
      expect(reads.count).toBeGreaterThan(100);
    });
  },
  waysToRun,
);
