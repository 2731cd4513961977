import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { countTokens } from 'gpt-tokenizer/encoding/o200k_base';
import { waysToRun } from '../support/api-process';
import { sql } from '../support/database';
import type { Answer, TestLearner } from '../support/http';
import { OpenAiServer } from '../support/openai-server';
import { expectProblem, RunningApi, until } from './support';

const EXAMPLE = join(__dirname, '../../examples/chat-service/chat-service.ts');
const turn = (content: string, role = 'user') => ({ role, content });
const GREEN = 'Chlorophyll makes leaves look green: it takes the red and the blue out of the light.';
const RED = 'In autumn the anthocyanins in leaves make them look red.';

describe.each(waysToRun)('the context of a chat, $name', (way) => {
  const run = new RunningApi(way, {}, { withWorker: true });
  let ada: TestLearner;
  let chat: string;
  beforeAll(async () => {
    ada = await run.newLearner();
    for (const [title, content, topic] of [
      ['Leaves', GREEN, 'botany'],
      ['Autumn', RED, 'botany'],
      ['Piano', 'A piano has 88 keys, of which 52 are white.', 'music'],
    ]) {
      await ada.http.post('/v1/documents', { type: 'text', title, content, metadata: { topic } });
    }
    const messages = [
      turn('Be brief.', 'system'),
      turn('My favourite tree is the ginkgo.'),
      turn('A living fossil.', 'assistant'),
      ...Array.from({ length: 30 }, (_, nr) =>
        turn(`Let us talk about the weather of day ${nr}.`, nr % 2 ? 'assistant' : 'user'),
      ),
      turn('Why are leaves green?'),
    ];
    chat = (await ada.http.post('/v1/chats', { title: 'Leaves', messages })).body.id;
    await until(async () => {
      const [waiting] = await sql<{ count: number }>(
        run.databaseUrl,
        `select (select count(*) from documents where status <> 'ready')::int
           + (select count(*) from chats where embedded_count < message_count)::int as count`,
      );
      return waiting!.count === 0;
    }, 60_000);
  }, 120_000);

  const context = (body: object, id = chat, http = ada.http) =>
    http.post(`/v1/chats/${id}/context`, { text: 'Why are leaves green?', tokenBudget: 400, ...body });
  const contents = ({ body }: Answer): string[] => body.items.map((item: any) => item.rendered.content);

  it('has the instruction, the passages that matter, and the last turns, in this order, the same each time', async () => {
    const answer = await context({});
    expect(answer.status).toBe(200);
    const { items, tokens, meta } = answer.body;
    expect(contents(answer)[0]).toBe('Be brief.');
    expect(contents(answer)).toContain(`[Leaves, passage 1]\n${GREEN}`);
    expect(contents(answer).at(-1)).toBe('Why are leaves green?');
    const [best] = items.filter(({ kind }: any) => kind === 'passage').sort((a: any, b: any) => b.score - a.score);
    expect(best).toMatchObject({
      document: { title: 'Leaves' },
      passage: { ordinal: 1, text: GREEN, startsAt: 0 },
      isCut: false,
    });
    const seqs = items.filter(({ kind }: any) => kind === 'turn').map(({ message }: any) => message.seq);
    expect(seqs).toEqual(seqs.toSorted((a: number, b: number) => a - b));
    expect(tokens).toBe(contents(answer).reduce((sum, content) => sum + 4 + countTokens(content), 0));
    expect(tokens).toBeLessThanOrEqual(400);
    expect(meta).toEqual({
      tokenizer: 'o200k_base',
      strategy: expect.stringMatching(/^(exact|signs)\+text$/),
      why: expect.any(String),
      tookMs: expect.any(Number),
    });
    const again = await context({});
    const bytes = ({ text }: Answer) => text.slice(0, text.indexOf('"meta"'));
    expect(bytes(again)).toBe(bytes(answer));
  });

  it('finds an earlier turn that matters', async () => {
    const { body } = await context({ text: 'Which is my favourite tree?', tokenBudget: 250 });
    const found = body.items.find(({ message }: any) => message?.seq === 2);
    expect(found).toMatchObject({ isRecent: false, message: { role: 'user', text: 'My favourite tree is the ginkgo.' } });
    expect(found.score).toBeGreaterThan(0);
  });

  it('keeps to the budget, and to the documents that it may use', async () => {
    for (const tokenBudget of [1, 5, 20, 60, 150]) {
      const { body } = await context({ tokenBudget });
      expect(body.tokens).toBeLessThanOrEqual(tokenBudget);
      expect(body.tokens).toBe(body.items.reduce((sum: number, item: any) => sum + item.tokens, 0));
    }
    const music = await context({ filter: { metadata: { topic: 'music' } } });
    expect(music.body.items.flatMap(({ document }: any) => document?.title ?? [])).toEqual(['Piano']);
    expectProblem(await context({ filter: { colour: 'green' } }), 422, 'FILTER_UNKNOWN');
  });

  it('is of the branch that it is asked for', async () => {
    const { messages } = (await ada.http.get(`/v1/chats/${chat}?limit=3`)).body;
    const other = (await ada.http.post(`/v1/chats/${chat}/messages`, { ...turn('And oaks?'), parentId: messages[1].id })).body;
    const branch = await context({ leaf: other.id });
    const turns = branch.body.items.filter(({ kind }: any) => kind === 'turn').map(({ message }: any) => message.text);
    expect(turns).toEqual(['Be brief.', 'My favourite tree is the ginkgo.', 'And oaks?']);
    expectProblem(await context({ leaf: randomUUID() }), 422, 'VALIDATION_FAILED');
  });

  it('never has what another learner has said or brought', async () => {
    const eve = await run.newLearner();
    expectProblem(await context({}, chat, eve.http), 404, 'NOT_FOUND');
    const { id } = (await eve.http.post('/v1/chats', { id: chat, title: 'Hers', messages: [turn('Why are leaves green?')] }))
      .body;
    expect(contents(await context({ tokenBudget: 5000 }, id, eve.http))).toEqual(['Why are leaves green?']);
  });

  it('carries a chat service: the example keeps what is said, and the model is told the context', async () => {
    const model = await OpenAiServer.start('a key');
    try {
      const { body } = await ada.http.post('/v1/chats', { title: 'With a model', messages: [turn('Be brief.', 'system')] });
      const env = {
        ...process.env,
        STUDENTLY_URL: run.api.url,
        STUDENTLY_TOKEN: ada.token,
        MODEL_URL: model.url,
        MODEL_API_KEY: 'a key',
      };
      const args = ['--chat', body.id as string, 'Why are leaves green?'];
      const { stdout } = await promisify(execFile)(process.execPath, [EXAMPLE, ...args], { env });
      expect(stdout).toMatch(/^You asked: Why are leaves green\? \([5-9] messages were sent to me\.\)\n$/);
      const { messages } = (await ada.http.get(`/v1/chats/${body.id}`)).body;
      expect(messages.map(({ role, content }: any) => [role, content])).toEqual([
        ['system', 'Be brief.'],
        ['user', 'Why are leaves green?'],
        ['assistant', stdout.trimEnd()],
      ]);
    } finally {
      await model.stop();
    }
  });
});
