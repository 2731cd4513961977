import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import { Histogram, Registry } from 'prom-client';
import { EmbeddingsAway, EmbeddingsUnavailable } from '../domain/document.errors';
import { embedEach } from './embed-each';
import { EMBEDDING_CALLS, OpenAiEmbeddings } from './openai-embeddings';
import { embeddingOf, OpenAiServer, type ServerFault } from '../../../../test/support/openai-server';

const MODEL = 'text-embedding-3-small';
const KEY = 'sk-canary-key';
const near = (vector: number[] | undefined, text: string, model = MODEL) =>
  vector!.reduce((sum, element, at) => sum + element * (embeddingOf(text, model, 1536)[at] ?? 0), 0);

describe('The provider that speaks OpenAI’s protocol', () => {
  let server: OpenAiServer;
  let told: string[];
  beforeAll(async () => {
    server = await OpenAiServer.start(KEY);
  });
  afterAll(() => server.stop());
  beforeEach(() => {
    server.heal();
    told = [];
    const note = (message: unknown) => void told.push(String(message));
    jest.spyOn(Logger.prototype, 'warn').mockImplementation(note);
    jest.spyOn(Logger.prototype, 'log').mockImplementation(note);
  });
  afterEach(() => jest.restoreAllMocks());

  function open(settings: object = {}, longestPassagesMs = 20_000) {
    const times = new Histogram({
      name: EMBEDDING_CALLS,
      help: 'x',
      labelNames: ['purpose', 'outcome'] as const,
      registers: [new Registry()],
    });
    const embeddings = new OpenAiEmbeddings(
      { url: server.url, apiKey: KEY, model: MODEL, ...settings },
      times,
      longestPassagesMs,
    );
    const outcomes = async () => {
      const { values } = await times.get();
      return Object.fromEntries(
        values.filter(({ metricName }) => metricName?.endsWith('_count')).map(({ labels, value }) => [labels.outcome, value]),
      );
    };
    return { embeddings, outcomes };
  }
  const isPoison = (texts: readonly string[]) => texts.some((text) => text.includes('poison'));
  const timed = async (work: () => Promise<unknown>) => {
    const began = performance.now();
    const result = await work().catch((error: unknown) => error);
    return { result, ms: performance.now() - began };
  };

  it('asks for many at once, as the protocol says, and takes the answers in the order of their numbers', async () => {
    server.fail({ kind: 'vectors', change: (vectors) => vectors });
    const { embeddings } = open();
    const texts = ['Grass is green.', ' … ', 'The moon is a rock.', ''];
    const [grass, dots, moon, nothing] = await embeddings.embedPassages(texts);
    expect([near(grass, texts[0]!), near(moon, texts[2]!)]).toEqual([expect.closeTo(1, 5), expect.closeTo(1, 5)]);
    expect([dots, nothing]).toEqual([undefined, undefined]);
    expect(server.requests).toEqual([
      { model: MODEL, input: [texts[0], texts[2]], dimensions: 1536, encoding_format: 'float' },
    ]);
    expect(await embeddings.embedPassages(['', '—'])).toEqual([undefined, undefined]);
    expect(await embeddings.embedQuestion('?')).toBeUndefined();
    expect(server.requests).toHaveLength(1);
    expect(near(await embeddings.embedQuestion('green grass is'), texts[0]!)).toBeCloseTo(1, 5);
  });

  it('takes what the endpoint numbers in another order', async () => {
    const { embeddings } = open();
    const data = ['one', 'two'].map((text, index) => ({ index, embedding: embeddingOf(text, MODEL, 1536) }));
    server.fail({ kind: 'body', body: JSON.stringify({ data: data.toReversed() }) });
    const [one, two] = await embeddings.embedPassages(['one', 'two']);
    expect([near(one, 'one'), near(two, 'two')]).toEqual([expect.closeTo(1, 5), expect.closeTo(1, 5)]);
  });

  it('takes smaller models, asks nothing of them that they refuse, and pads their vectors; a length that was asked for is part of the name', async () => {
    const nomic = open({ model: 'nomic-embed-text' }).embeddings;
    server.fail({ kind: 'vectors', change: (vectors) => vectors.map((vector) => vector.slice(0, 768)) }, { times: 1 });
    const [small] = await nomic.embedPassages(['grass']);
    expect([small!.length, small!.slice(768).some((element) => element !== 0)]).toEqual([1536, false]);
    expect(server.requests[0]).not.toHaveProperty('dimensions');
    await expect(nomic.embedPassages(['moon'])).rejects.toMatchObject({ failure: 'EMBEDDING_WRONG_DIMENSION' }); // 1536 now

    const short = open({ dimensions: 256 }).embeddings;
    expect([short.model, nomic.model]).toEqual([`${MODEL}@256`, 'nomic-embed-text']);
    expect((await short.embedQuestion('grass'))!.findLastIndex((element) => element !== 0)).toBeLessThan(256);
  });

  it.each<[string, ServerFault, string, number]>([
    ['429', { kind: 'status', status: 429 }, 'busy', 2],
    ['503', { kind: 'status', status: 503 }, 'busy', 2],
    ['500', { kind: 'status', status: 500 }, 'broken', 2],
    ['a connection that breaks off', { kind: 'cut' }, 'broken', 2],
    ['an answer that breaks off', { kind: 'cut', inTheMiddle: true }, 'broken', 2],
  ])('tries again after %s', async (_, fault, outcome, times) => {
    server.fail(fault, { times });
    const { embeddings, outcomes } = open();
    const [grass] = await embeddings.embedPassages(['grass']);
    expect(near(grass, 'grass')).toBeCloseTo(1, 5);
    expect(await outcomes()).toEqual({ [outcome]: times, ok: 1 });
    server.heal();
    server.fail(fault, { times: 1 });
    expect(near(await embeddings.embedQuestion('grass'), 'grass')).toBeCloseTo(1, 5);
  });

  it.each([
    ['retry-after', '1', 1000],
    ['retry-after-ms', '700', 700],
    ['retry-after', new Date(Date.now() + 3_600_000).toUTCString(), 60_000],
  ])('waits as long as %s says, and everybody else with it', async (name, value, atLeastMs) => {
    server.fail({ kind: 'status', status: 429, headers: { [name]: value } }, { times: 1 });
    const { embeddings } = open();
    const ending = new AbortController();
    const first = timed(() => embeddings.embedPassages(['one'], ending.signal));
    await sleep(100);
    const second = timed(() => embeddings.embedPassages(['two'], ending.signal));
    const question = await timed(() => embeddings.embedQuestion('three')); // has a lane of its own
    expect(near(question.result as number[], 'three')).toBeCloseTo(1, 5);
    if (atLeastMs < 60_000) {
      for (const { ms } of await Promise.all([first, second])) expect(ms).toBeGreaterThan(atLeastMs - 150);
    } else {
      await sleep(300);
      expect(server.requests).toHaveLength(2);
      ending.abort(new Error('the process ends'));
      expect((await Promise.all([first, second])).map(({ result }) => (result as Error).message)).toEqual([
        'the process ends',
        'the process ends',
      ]);
    }
  });

  it('never asks more than a few things at a time, and has no more than some wait', async () => {
    server.fail({ kind: 'hang' });
    const { embeddings } = open({}, 1500);
    const all = Array.from({ length: 80 }, (_, nr) => timed(() => embeddings.embedPassages([`text ${nr}`])));
    expect((await all[79]!).result).toBeInstanceOf(EmbeddingsAway);
    while (server.requests.length < 4) await sleep(20);
    expect(server.mostAtOnce).toBe(4);
    server.heal(); // what hangs is given up after a while
    const results = (await Promise.all(all)).map(({ result }) => Array.isArray(result));
    expect(results.filter((isDone) => isDone).length).toBeGreaterThanOrEqual(64);
    expect(server.mostAtOnce).toBeLessThanOrEqual(4);
  });

  it.each<[string, ServerFault]>([
    ['429', { kind: 'status', status: 429, headers: { 'retry-after': '7' } }],
    ['503', { kind: 'status', status: 503 }],
    ['500', { kind: 'status', status: 500 }],
    ['401', { kind: 'status', status: 401 }],
    ['404', { kind: 'status', status: 404 }],
    ['a redirection', { kind: 'status', status: 307, headers: { location: 'http://127.0.0.1:9/' } }],
    ['a connection that breaks off', { kind: 'cut' }],
    ['a hang', { kind: 'hang' }],
  ])('a question is answered or refused within five seconds, and then at once: %s', async (kind, fault) => {
    server.fail(fault);
    const { embeddings } = open();
    const { result, ms } = await timed(() => embeddings.embedQuestion('grass'));
    expect(result).toBeInstanceOf(EmbeddingsAway);
    expect(result).toMatchObject({ kind: 'unavailable', code: 'EMBEDDINGS_UNAVAILABLE' });
    const { retryAfterSeconds } = (result as EmbeddingsAway).details;
    expect(retryAfterSeconds).toBe(kind === '429' ? 7 : 1);
    expect(ms).toBeLessThan(5000);
    server.heal();
    const next = await timed(() => embeddings.embedQuestion('grass'));
    if (kind === '429') expect([next.result, server.requests.length]).toEqual([expect.any(EmbeddingsAway), 0]);
    expect(next.ms).toBeLessThan(1000);
  });

  it('of an endpoint that is not there, nothing is any text’s fault, and it is said once', async () => {
    const { port, close } = await new Promise<{ port: number; close: () => Promise<void> }>((resolve) => {
      const nobody = createServer().listen(0, '127.0.0.1', () => {
        const { port } = nobody.address() as { port: number };
        resolve({ port, close: () => new Promise((closed) => nobody.close(() => closed())) });
      });
    });
    await close();
    const { embeddings, outcomes } = open({ url: `http://127.0.0.1:${port}/v1` });
    await expect(embedEach(embeddings, ['one', 'two'])).rejects.toBeInstanceOf(EmbeddingsAway);
    await expect(embeddings.embedQuestion('three')).rejects.toBeInstanceOf(EmbeddingsAway);
    expect(await outcomes()).toEqual({ unreachable: expect.any(Number) });
    expect(told).toEqual([expect.stringContaining('cannot be reached')]);
  });

  it.each<[string, ServerFault, string]>([
    ['400', { kind: 'status', status: 400 }, 'EMBEDDING_REFUSED'],
    ['413', { kind: 'status', status: 413 }, 'EMBEDDING_REFUSED'],
    ['500', { kind: 'status', status: 500 }, 'EMBEDDING_FAILED'],
    ['a cut', { kind: 'cut' }, 'EMBEDDING_FAILED'],
    ['a hang', { kind: 'hang' }, 'EMBEDDING_TIMEOUT'],
    ['garbage', { kind: 'body', body: '<html>' }, 'EMBEDDING_MALFORMED'],
    ['another form', { kind: 'body', body: '{"embeddings":[[1,2]]}' }, 'EMBEDDING_MALFORMED'],
    ['NaN', { kind: 'vectors', change: (all) => all.map(([, ...rest]) => [null, ...rest]) }, 'EMBEDDING_MALFORMED'],
    ['zeros', { kind: 'vectors', change: (all) => all.map((one) => one.map(() => 0)) }, 'EMBEDDING_MALFORMED'],
    ['one too few', { kind: 'vectors', change: (all) => all.slice(1) }, 'EMBEDDING_MALFORMED'],
    ['one too many', { kind: 'vectors', change: (all) => [...all, all[0]!] }, 'EMBEDDING_MALFORMED'],
    ['another length', { kind: 'vectors', change: (all) => all.map((one) => one.slice(0, 512)) }, 'EMBEDDING_WRONG_DIMENSION'],
    ['too long a vector', { kind: 'vectors', change: (all) => all.map((one) => [...one, 1]) }, 'EMBEDDING_WRONG_DIMENSION'],
  ])(
    'AI-9 a text that is answered with %s has no vector, and the others have theirs',
    async (_, fault, failure) => {
      server.fail(fault, { when: isPoison });
      const { embeddings } = open({}, failure === 'EMBEDDING_TIMEOUT' ? 1500 : undefined);
      const texts = ['grass', 'moon', 'the poison', 'water', 'rock'];
      const embedded = await embedEach(embeddings, texts);
      expect(embedded.failure).toBe(failure);
      expect(embedded.vectors.map((vector, nr) => vector && near(vector, texts[nr]!))).toEqual(
        texts.map((text) => (text === 'the poison' ? undefined : expect.closeTo(1, 5))),
      );
      await expect(embeddings.embedPassages(['poison'])).rejects.toMatchObject({ failure, isOfAll: false });
      await expect(embeddings.embedQuestion('poison')).rejects.toMatchObject({ code: 'EMBEDDINGS_UNAVAILABLE' });

      server.heal();
      server.fail(fault); // and where it is so with every text, no culprit is looked for
      const all = await embedEach(embeddings, texts).catch((error: unknown) => error);
      if (['EMBEDDING_FAILED', 'EMBEDDING_TIMEOUT'].includes(failure)) expect(all).toBeInstanceOf(EmbeddingsAway);
      else expect(all).toMatchObject({ failure, isOfAll: true });
      expect(all instanceof EmbeddingsUnavailable || all instanceof EmbeddingsAway).toBe(true);
      expect(server.requests.length).toBeLessThan(8);
    },
    60_000,
  );

  it('an answer without end is not read to its end', async () => {
    const endless = await OpenAiServer.start();
    endless.fail({ kind: 'body', body: 'x'.repeat(17 * 2 ** 20) });
    const { embeddings } = open({ url: endless.url });
    await expect(embeddings.embedPassages(['grass'])).rejects.toMatchObject({ failure: 'EMBEDDING_MALFORMED' });
    await endless.stop();
  });

  it('a process that ends does not wait for it', async () => {
    server.fail({ kind: 'hang' });
    const { embeddings } = open({}, 30_000);
    const ending = new AbortController();
    setTimeout(() => ending.abort(new Error('the process ends')), 100);
    const { result, ms } = await timed(() => embedEach(embeddings, ['grass'], ending.signal));
    expect([(result as Error).message, ms < 1000]).toEqual(['the process ends', true]);
  });

  it('SEC-14 neither key nor text is in what it says', async () => {
    const { embeddings } = open({ apiKey: 'sk-another-canary' });
    const error = await embeddings.embedPassages(['canary text']).catch((fault: unknown) => fault);
    const said = `${told.join()} ${JSON.stringify(error)} ${String(error)} ${(error as Error).stack}`;
    expect(said).toContain('refuses the key');
    expect(said).not.toContain('canary');
  });
});
