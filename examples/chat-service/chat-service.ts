/**
 * A chat service on top of the platform: it keeps what the learner says, asks what to tell the model, streams the model's answer,
 * and keeps that, too. It needs Node 24 and nothing else.
 *
 *   node examples/chat-service/chat-service.ts --chat <id> "Why are leaves green?"
 *
 * Environment: STUDENTLY_URL, STUDENTLY_TOKEN, MODEL_URL (of any OpenAI-compatible server, with its /v1), MODEL_API_KEY, MODEL.
 */
import { parseArgs } from 'node:util';

interface Settings {
  studentlyUrl: string;
  /** A learner's session, or a service key with chats:read, chats:write and documents:read. */
  studentlyToken: string;
  /** With a service key: the learner for whom it acts. */
  learnerId?: string;
  modelUrl: string;
  modelKey?: string;
  model: string;
}

interface ChatMessage {
  role: string;
  content: string;
}

/** What the context and the system's own words may take together; the rest of the model's window is for its answer. */
const TOKEN_BUDGET = 4000;
/** The platform searches with as much of a question. */
const LONGEST_SEARCH = 2000;
const INSTRUCTION =
  'Answer the last question. Messages that begin with [ are passages of the learner’s documents: name those you use.';

/** Asks, and says the answer piece by piece as it comes. @returns all of it */
export async function ask(settings: Settings, chatId: string, question: string, say: (piece: string) => void): Promise<string> {
  const { id } = await studently<{ id: string }>(settings, `chats/${chatId}/messages`, { role: 'user', content: question });
  const { items } = await studently<{ items: { rendered: ChatMessage }[] }>(settings, `chats/${chatId}/context`, {
    text: question.slice(0, LONGEST_SEARCH),
    tokenBudget: TOKEN_BUDGET,
    leaf: id, // the branch that ends with the question, whatever else is said meanwhile
  });
  const messages = [{ role: 'system', content: INSTRUCTION }, ...items.map(({ rendered }) => rendered)];
  let answer = '';
  for await (const piece of complete(settings, messages)) {
    answer += piece;
    say(piece);
  }
  await studently(settings, `chats/${chatId}/messages`, { role: 'assistant', content: answer, parentId: id });
  return answer;
}

async function studently<T>({ studentlyUrl, studentlyToken, learnerId }: Settings, path: string, body: object): Promise<T> {
  const response = await fetch(`${studentlyUrl}/v1/${path}`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${studentlyToken}`,
      'content-type': 'application/json',
      ...(learnerId !== undefined && { 'x-act-as': learnerId }),
    },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`The platform answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as T;
}

/** The pieces of an answer, from server-sent events. */
async function* complete({ modelUrl, modelKey, model }: Settings, messages: ChatMessage[]): AsyncGenerator<string> {
  const response = await fetch(`${modelUrl}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(modelKey !== undefined && { authorization: `Bearer ${modelKey}` }) },
    body: JSON.stringify({ model, messages, stream: true }),
  });
  if (!response.ok || !response.body) throw new Error(`The model answered ${response.status}: ${await response.text()}`);
  let begun = '';
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (begun + chunk).split('\n');
    begun = lines.pop()!;
    for (const line of lines) {
      if (!line.startsWith('data: ') || line === 'data: [DONE]') continue;
      const { choices } = JSON.parse(line.slice('data: '.length)) as { choices: { delta: { content?: string } }[] };
      yield choices[0]?.delta.content ?? '';
    }
  }
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ options: { chat: { type: 'string' } }, allowPositionals: true });
  const {
    STUDENTLY_URL = 'http://127.0.0.1:3000',
    STUDENTLY_TOKEN,
    STUDENTLY_LEARNER,
    MODEL_URL,
    MODEL_API_KEY,
    MODEL,
  } = process.env;
  if (!values.chat || positionals.length !== 1 || !STUDENTLY_TOKEN || !MODEL_URL) {
    console.error('Usage: STUDENTLY_TOKEN=… MODEL_URL=http://…/v1 node chat-service.ts --chat <id> "a question"');
    process.exit(64);
  }
  const settings = {
    studentlyUrl: STUDENTLY_URL,
    studentlyToken: STUDENTLY_TOKEN,
    learnerId: STUDENTLY_LEARNER,
    modelUrl: MODEL_URL,
    modelKey: MODEL_API_KEY,
    model: MODEL ?? 'gpt-4o-mini',
  };
  await ask(settings, values.chat, positionals[0]!, (piece) => process.stdout.write(piece));
  process.stdout.write('\n');
}

if (process.argv[1]?.endsWith('chat-service.ts')) void main();
