import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface EmbeddingsRequest {
  model: string;
  input: string[];
  dimensions?: number;
  encoding_format?: string;
}

export interface ChatMessage {
  role: string;
  content: string;
}

/** What goes wrong with a request. */
export type ServerFault =
  | { kind: 'status'; status: number; headers?: Record<string, string> }
  /** It is accepted, and never answered. */
  | { kind: 'hang' }
  /** The connection breaks off, before or in the middle of the answer. */
  | { kind: 'cut'; inTheMiddle?: boolean }
  /** 200, with this as the body. */
  | { kind: 'body'; body: string }
  /** The vectors are as they come out of this. */
  | { kind: 'vectors'; change: (vectors: (number | null)[][]) => (number | null)[][] };

interface Planned {
  fault: ServerFault;
  when: (texts: readonly string[]) => boolean;
  times: number;
}

/**
 * Speaks the part of OpenAI's protocol that the platform and its examples use. Its embeddings are bags of hashed words, other
 * ones for each model; its answers say what was asked. Nothing is random.
 */
export class OpenAiServer {
  /** All that were asked, failed ones included. */
  readonly requests: EmbeddingsRequest[] = [];
  /** How many were under way at the same time, at most. */
  mostAtOnce = 0;
  private atOnce = 0;
  private planned: Planned[] = [];
  private readonly server = createServer((request, response) => {
    void this.answer(request, response).catch(() => response.destroy());
  });

  private constructor(private readonly apiKey?: string) {}

  /** @param apiKey without it any key will do */
  static async start(apiKey?: string): Promise<OpenAiServer> {
    const server = new OpenAiServer(apiKey);
    server.server.listen(0, '127.0.0.1');
    await once(server.server, 'listening');
    return server;
  }

  /** As EMBEDDINGS_URL names it. */
  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/v1`;
  }

  /** From now on this happens to requests with such texts, so many times. */
  fail(fault: ServerFault, { times = Infinity, when = () => true }: Partial<Omit<Planned, 'fault'>> = {}): void {
    this.planned.push({ fault, when, times });
  }

  heal(): void {
    this.planned = [];
    this.requests.length = 0;
    this.mostAtOnce = 0;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = JSON.parse(await textOf(request)) as EmbeddingsRequest & { messages: ChatMessage[]; stream?: boolean };
    if (this.apiKey !== undefined && request.headers.authorization !== `Bearer ${this.apiKey}`) {
      return refuse(response, 401, 'Incorrect API key provided.');
    }
    if (request.url === '/v1/embeddings') return this.embeddings(body, response);
    if (request.url === '/v1/chat/completions') return chat(body, response);
    refuse(response, 404, 'Unknown request URL.');
  }

  private async embeddings(body: EmbeddingsRequest, response: ServerResponse): Promise<void> {
    this.requests.push(body);
    this.mostAtOnce = Math.max(this.mostAtOnce, ++this.atOnce);
    response.once('close', () => this.atOnce--);
    const { input, model, dimensions } = body;
    if (!Array.isArray(input) || input.length === 0 || input.length > 2048 || input.some((text) => text === '')) {
      return refuse(response, 400, "'$.input' is invalid.");
    }
    if (dimensions !== undefined && !model.startsWith('text-embedding-3-')) {
      return refuse(response, 400, 'This model does not support specifying dimensions.');
    }
    const vectors = input.map((text) => embeddingOf(text, model, dimensions ?? 1536));
    const plan = this.planned.find(({ when, times }) => times > 0 && when(input));
    if (plan) plan.times--;
    await misbehave(plan?.fault, response, vectors, model);
  }
}

async function misbehave(
  fault: ServerFault | undefined,
  response: ServerResponse,
  vectors: (number | null)[][],
  model: string,
): Promise<void> {
  const body = (these: (number | null)[][]) =>
    JSON.stringify({
      object: 'list',
      data: these.map((embedding, index) => ({ object: 'embedding', index, embedding })),
      model,
      usage: { prompt_tokens: 0, total_tokens: 0 },
    });
  const send = (text: string) => response.writeHead(200, { 'content-type': 'application/json' }).end(text);
  switch (fault?.kind) {
    case undefined:
      return void send(body(vectors));
    case 'status':
      return refuse(response, fault.status, 'As planned.', fault.headers);
    case 'hang':
      return;
    case 'cut':
      if (fault.inTheMiddle) {
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
        await new Promise((written) => response.write('{"data":[', written));
      }
      return void response.destroy();
    case 'body':
      return void send(fault.body);
    case 'vectors':
      return void send(body(fault.change(vectors)));
  }
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

function refuse(response: ServerResponse, status: number, message: string, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify({ error: { message, type: 'invalid_request_error', param: null, code: null } }));
}

/** Texts with the same words are near to each other. */
export function embeddingOf(text: string, model: string, dimensions: number): number[] {
  const vector = Array<number>(dimensions).fill(0);
  for (const word of text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? ['']) {
    const hash = createHash('sha256').update(`${model} ${word}`).digest();
    for (let at = 0; at < 32; at += 4) vector[hash.readUInt16BE(at) % dimensions]! += (hash[at + 2]! - 127.5) / 128;
  }
  const length = Math.hypot(...vector);
  return vector.map((element) => element / length);
}

/** Says what it was asked and what it was given, in words that a test can look for. */
function chat(
  { model, messages, stream }: { model: string; messages: ChatMessage[]; stream?: boolean },
  response: ServerResponse,
): void {
  if (!Array.isArray(messages) || messages.length === 0) return refuse(response, 400, "'$.messages' is invalid.");
  const question = messages.findLast(({ role }) => role === 'user')?.content ?? '';
  const content = `You asked: ${question} (${messages.length} messages were sent to me.)`;
  const about = { id: 'chatcmpl-1', created: 0, model };
  if (!stream) {
    const count = (text: string) => text.split(/\s+/).length;
    const asked = messages.reduce((sum, message) => sum + count(message.content), 0);
    const usage = { prompt_tokens: asked, completion_tokens: count(content), total_tokens: asked + count(content) };
    const choices = [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }];
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ ...about, object: 'chat.completion', choices, usage }));
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const say = (delta: object, finish_reason: string | null = null) =>
    response.write(
      `data: ${JSON.stringify({ ...about, object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason }] })}\n\n`,
    );
  say({ role: 'assistant', content: '' });
  for (const word of content.match(/\S+\s*/g)!) say({ content: word });
  say({}, 'stop');
  response.end('data: [DONE]\n\n');
}
