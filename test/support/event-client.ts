import { get, type ClientRequest, type IncomingMessage } from 'node:http';

export interface ReceivedEvent {
  type: string;
  /** To resume after it. */
  id: string;
  data: { id: string; type: string; subjectId: string; changedFields: string[]; at: string; readToken: string };
  /** performance.now() */
  at: number;
}

export interface StreamOptions {
  token: string;
  lastEventId?: string;
}

/** Follows GET /v1/events as a client would, and remembers what it has had. */
export class EventClient {
  readonly events: ReceivedEvent[] = [];
  /** What the next connection sends as Last-Event-ID. */
  lastEventId?: string;
  retryMs?: number;
  comments = 0;
  hasEnded = false;
  private rest = '';

  private constructor(
    private readonly request: ClientRequest,
    readonly response: IncomingMessage,
    lastEventId: string | undefined,
  ) {
    this.lastEventId = lastEventId;
    response.setEncoding('utf8').on('data', (text: string) => this.take(text));
    for (const end of ['end', 'close', 'error']) response.once(end, () => (this.hasEnded = true));
  }

  /** @throws if the answer is not a stream */
  static async open(url: string, { token, lastEventId }: StreamOptions): Promise<EventClient> {
    const headers = { authorization: `Bearer ${token}`, ...(lastEventId !== undefined && { 'last-event-id': lastEventId }) };
    return new Promise((resolve, reject) => {
      const request = get(`${url}/v1/events`, { headers, agent: false }, (response) => {
        if (response.statusCode === 200) resolve(new EventClient(request, response, lastEventId));
        else reject(new Error(`GET /v1/events answered ${response.statusCode}`));
        if (response.statusCode !== 200) response.resume();
      });
      request.on('error', reject);
    });
  }

  close(): void {
    this.request.destroy();
    this.hasEnded = true;
  }

  /** Reads nothing more until `resume`; what comes fills the buffers of the connection. */
  pause(): void {
    this.response.pause();
  }

  resume(): void {
    this.response.resume();
  }

  private take(text: string): void {
    const blocks = (this.rest + text).split('\n\n');
    this.rest = blocks.pop()!;
    for (const block of blocks) this.takeBlock(block);
  }

  private takeBlock(block: string): void {
    const fields = new Map(block.split('\n').map((line) => line.split(/: ?(.*)/s, 2) as [string, string]));
    if (fields.has('')) this.comments += 1;
    if (fields.has('retry')) this.retryMs = Number(fields.get('retry'));
    const id = fields.get('id');
    if (id !== undefined) this.lastEventId = id;
    const data = fields.get('data');
    if (data === undefined) return;
    this.events.push({ type: fields.get('event')!, id: id!, data: JSON.parse(data), at: performance.now() });
  }
}
