import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { EMBEDDING_DIMENSIONS } from '../domain/vector';
import { LocalEmbeddings } from './local-embeddings';

const similarity = (one: number[], other: number[]) => one.reduce((sum, element, at) => sum + element * other[at]!, 0);
const threadOf = (embeddings: LocalEmbeddings) =>
  (embeddings as unknown as { threads: { thread?: Worker }[] }).threads[0]?.thread;

describe('The local model', () => {
  const embeddings = new LocalEmbeddings();
  afterAll(() => embeddings.end());

  it('puts what means the same close together, in 1536 dimensions and of length 1', async () => {
    const [grass, lawn, shares] = (await embeddings.embedPassages([
      'Why is the grass green?',
      'What makes a lawn\n\tgreen?',
      'The stock market fell today.',
    ])) as [number[], number[], number[]];
    for (const vector of [grass, lawn, shares]) {
      expect(vector).toHaveLength(EMBEDDING_DIMENSIONS);
      expect(similarity(vector, vector)).toBeCloseTo(1, 4);
    }
    expect(similarity(grass, lawn)).toBeGreaterThan(similarity(grass, shares) + 0.2);
  });

  it('says nothing about a text without a word that it knows, in its place', async () => {
    const vectors = await embeddings.embedPassages(['字', 'grass', '', ' *** ', 'ｇｒａｓｓ']);
    expect(vectors.map((vector) => vector?.length)).toEqual([undefined, 1536, undefined, undefined, 1536]);
    expect(similarity(vectors[1]!, vectors[4]!)).toBeCloseTo(1, 4); // full-width letters are letters
    expect(await embeddings.embedQuestion('Фотосинтез')).toBeUndefined();
  });

  it('reads white space of any kind as a space', async () => {
    const [one, other] = await embeddings.embedPassages(['green grass', ' green\n\u00a0 grass\t']);
    expect(similarity(one!, other!)).toBeCloseTo(1, 5);
  });
});

/** Answers with a vector of the order in which it was asked; "hang" makes it hang, "die" makes it end, "throw" makes it fail. */
const THREAD = `
  const { parentPort } = require('node:worker_threads');
  let asked = 0;
  parentPort.on('message', (texts) => {
    asked++;
    if (texts.includes('hang')) for (;;);
    if (texts.includes('die')) process.exit(1);
    if (texts.includes('crash')) throw new Error('crash');
    parentPort.postMessage(texts.includes('throw') ? { failure: 'Error' } : { vectors: texts.map(() => [asked]) });
  });`;

describe('The thread of the model', () => {
  const folder = mkdtempSync(join(tmpdir(), 'studently-thread-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  class Embeddings extends LocalEmbeddings {
    protected override readonly threadFile = join(folder, 'thread.js');
    protected override readonly longestAnswerMs = 2000;
    protected override readonly longestIdleMs = 300;
  }
  let embeddings: Embeddings;
  beforeEach(() => {
    writeFileSync(join(folder, 'thread.js'), THREAD);
    embeddings = new Embeddings();
  });
  afterEach(() => embeddings.end());

  it('starts when it is needed, ends when nobody needs it, and starts again', async () => {
    expect(threadOf(embeddings)).toBeUndefined();
    expect((await embeddings.embedQuestion('x'))![0]).toBe(1);
    expect((await embeddings.embedQuestion('x'))![0]).toBe(2);
    await sleep(500);
    expect(threadOf(embeddings)).toBeUndefined();
    expect((await embeddings.embedQuestion('x'))![0]).toBe(1); // another one, which counts from the beginning
  });

  it('takes questions before passages that were there first', async () => {
    const passages = [1, 2, 3].map(() => embeddings.embedPassages(['a passage']));
    const question = embeddings.embedQuestion('a question');
    const order = [question, ...passages.map(async (passage) => (await passage)[0])].map(async (it) => (await it)![0]);
    expect(await Promise.all(order)).toEqual([2, 1, 3, 4]);
  });

  it.each([
    ['hang', 'EMBEDDING_TIMEOUT'],
    ['die', 'EMBEDDING_FAILED'],
    ['crash', 'EMBEDDING_FAILED'],
    ['throw', 'EMBEDDING_FAILED'],
  ])('is replaced where a text makes it %s, and only that text is refused', async (text, failure) => {
    const results = await Promise.allSettled([
      embeddings.embedPassages(['before']),
      embeddings.embedPassages(['good', text]),
      embeddings.embedPassages(['after']),
      embeddings.embedQuestion('question'),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
    expect(results[1]).toMatchObject({ reason: { kind: 'unavailable', code: 'EMBEDDINGS_UNAVAILABLE', failure } });
  });

  it('is not waited for by a question for longer than people wait', async () => {
    class Impatient extends Embeddings {
      protected override readonly longestQuestionMs = 100;
    }
    const impatient = new Impatient();
    await expect(impatient.embedQuestion('hang')).rejects.toMatchObject({ code: 'EMBEDDINGS_UNAVAILABLE' });
    await impatient.end();
  });

  it('that cannot start is said, each time', async () => {
    rmSync(join(folder, 'thread.js'));
    for (let time = 0; time < 2; time++) {
      await expect(embeddings.embedQuestion('x')).rejects.toMatchObject({ failure: 'EMBEDDING_FAILED' });
    }
  });
});
