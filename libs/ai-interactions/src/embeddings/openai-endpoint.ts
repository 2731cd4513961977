import { z } from 'zod';
import { EMBEDDING_DIMENSIONS, normalised } from '../domain/vector';

export interface EndpointSettings {
  /** `/embeddings` comes behind it. */
  url: string;
  apiKey?: string;
  model: string;
  dimensions?: number;
}

/** What went wrong with a call; `isOfAll`: it would go wrong with other texts, too. */
export type CallOutcome =
  | 'busy' // 429, 503
  | 'unreachable'
  | 'denied' // 401, 403, 404: the key, the model or the address
  | 'timeout'
  | 'broken' // another 5xx, or the connection broke off
  | 'refused' // another 4xx
  | 'malformed' // the answer is not what the protocol says
  | 'wrong-dimension';

export class CallFault extends Error {
  constructor(
    readonly outcome: CallOutcome,
    readonly retryAfterMs?: number,
  ) {
    super(outcome);
  }
}

/** 64 texts are 2 MB; an answer without end is not read to its end. */
const MOST_BYTES = 16 * 2 ** 20;
const LONGEST_RETRY_AFTER_MS = 5 * 60_000;
/** These take `dimensions`; others refuse a request that says it. */
const SHORTENED = /^text-embedding-3-/;
/** It broke off after it had begun. */
const BROKEN = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET']);

const Answer = z.object({
  data: z.array(z.object({ index: z.int().min(0), embedding: z.array(z.number()).min(1) })),
});

/** One address that speaks OpenAI's protocol: asks it once, and reads the answer carefully. */
export class OpenAiEndpoint {
  /** Of its vectors; what was not asked for is what came first. */
  private dimensions?: number;
  private readonly asked?: number;

  constructor(private readonly settings: EndpointSettings) {
    this.asked = settings.dimensions ?? (SHORTENED.test(settings.model) ? EMBEDDING_DIMENSIONS : undefined);
    this.dimensions = this.asked;
  }

  /** @returns vectors that are one long. @throws CallFault, and the reason of `signal` if that was no timeout */
  async embed(texts: readonly string[], signal: AbortSignal): Promise<number[][]> {
    try {
      const response = await this.send(texts, signal);
      const body = await textOf(response);
      if (!response.ok) throw new CallFault(outcomeOf(response.status), retryAfterMs(response.headers));
      return this.read(body, texts.length);
    } catch (error) {
      if (error instanceof CallFault) throw error;
      if (signal.aborted && !isTimeout(signal.reason)) throw signal.reason;
      throw new CallFault(isTimeout(error) ? 'timeout' : BROKEN.has(codeOf(error)) ? 'broken' : 'unreachable');
    }
  }

  private send(texts: readonly string[], signal: AbortSignal): Promise<Response> {
    const { url, apiKey, model } = this.settings;
    return fetch(`${url}${url.endsWith('/') ? '' : '/'}embeddings`, {
      method: 'POST',
      signal,
      redirect: 'error', // the texts are for this address, and no other
      headers: { 'content-type': 'application/json', ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }) },
      body: JSON.stringify({
        model,
        input: texts,
        encoding_format: 'float',
        ...(this.asked !== undefined && { dimensions: this.asked }),
      }),
    });
  }

  private read(body: string, count: number): number[][] {
    const answer = Answer.safeParse(parsed(body));
    const vectors: number[][] = [];
    for (const { index, embedding } of answer.data?.data ?? []) vectors[index] = embedding;
    const isWhole = answer.data?.data.length === count && Object.keys(vectors).length === count && vectors.length === count;
    if (!isWhole) throw new CallFault('malformed');
    const dimensions = this.dimensions ?? vectors[0]!.length;
    if (dimensions > EMBEDDING_DIMENSIONS || vectors.some(({ length }) => length !== dimensions)) {
      throw new CallFault('wrong-dimension');
    }
    const unit = vectors.map(normalised);
    if (unit.some((vector) => vector.some((element) => !Number.isFinite(element)))) throw new CallFault('malformed');
    this.dimensions = dimensions;
    return unit;
  }
}

/** All of it, unless it has no end. */
async function textOf({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of (body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > MOST_BYTES) throw new CallFault('malformed');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

function outcomeOf(status: number): CallOutcome {
  if (status === 429 || status === 503) return 'busy';
  if (status === 401 || status === 403 || status === 404) return 'denied';
  return status >= 500 ? 'broken' : 'refused';
}

/** In seconds or as a date (RFC 9110, 10.2.3), or more exactly, as OpenAI says it. */
function retryAfterMs(headers: Headers): number | undefined {
  const exact = Number(headers.get('retry-after-ms') ?? NaN);
  const said = headers.get('retry-after') ?? '';
  const ms = exact > 0 ? exact : /^\d+$/.test(said) ? Number(said) * 1000 : Date.parse(said) - Date.now();
  return ms > 0 ? Math.min(ms, LONGEST_RETRY_AFTER_MS) : undefined;
}

/** Its reason is an object of the runtime, not of this realm: no `instanceof`. */
export const isTimeout = (error: unknown): boolean => (error as { name?: unknown } | undefined)?.name === 'TimeoutError';

/** What fetch was told by the system. */
function codeOf(error: unknown): string {
  const { code, cause } = error as { code?: unknown; cause?: { code?: unknown } };
  return String(cause?.code ?? code);
}
