import { randomUUID } from 'node:crypto';

export interface Answer<T = any> {
  status: number;
  headers: Headers;
  body: T;
  text: string;
}

export interface RequestOptions {
  token?: string;
  headers?: Record<string, string>;
  /** Gives up waiting for the answer. */
  signal?: AbortSignal;
}

/** Speaks to an API as a client would. */
export class HttpClient {
  constructor(
    readonly url: string,
    private readonly token?: string,
  ) {}

  /** The same API with a session. */
  as(token: string): HttpClient {
    return new HttpClient(this.url, token);
  }

  get = (path: string, options?: RequestOptions) => this.send('GET', path, undefined, options);
  delete = (path: string, options?: RequestOptions) => this.send('DELETE', path, undefined, options);
  post = (path: string, body: unknown, options?: RequestOptions) => this.send('POST', path, body, options);
  put = (path: string, body: unknown, options?: RequestOptions) => this.send('PUT', path, body, options);
  patch = (path: string, body: unknown, options?: RequestOptions) => this.send('PATCH', path, body, options);

  /** `body`: text or bytes go out as they are, anything else as JSON. */
  async send(
    method: string,
    path: string,
    body?: unknown,
    { token = this.token, headers, signal }: RequestOptions = {},
  ): Promise<Answer> {
    const response = await fetch(this.url + path, {
      method,
      signal,
      headers: {
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...headers,
      },
      body: typeof body === 'string' || body instanceof Buffer ? body : JSON.stringify(body),
    });
    const text = await textOf(response);
    const isJson = response.headers.get('content-type')?.includes('json');
    return {
      status: response.status,
      headers: response.headers,
      body: isJson && text !== '' ? JSON.parse(text) : undefined,
      text,
    };
  }
}

/** All of an answer; of a stream, which does not end, its beginning. */
async function textOf(response: Response): Promise<string> {
  if (response.headers.get('content-type') !== 'text/event-stream' || !response.body) return response.text();
  const reader = response.body.getReader();
  const { value } = await reader.read();
  await reader.cancel();
  return Buffer.from(value ?? '').toString();
}

export interface TestLearner {
  id: string;
  email: string;
  password: string;
  token: string;
  /** Speaks as this learner. */
  http: HttpClient;
}

/** Registers an invented learner and logs in. */
export async function newLearner(http: HttpClient, password = `long enough ${randomUUID()}`): Promise<TestLearner> {
  const email = `${randomUUID()}@example.org`;
  const user = await http.post('/v1/users', { email, password });
  if (user.status !== 201) throw new Error(`Registration answered ${user.status}: ${user.text}`);
  const token = await logIn(http, email, password);
  return { id: user.body.id, email, password, token, http: http.as(token) };
}

/** @returns the token of a new session */
export async function logIn(http: HttpClient, email: string, password: string): Promise<string> {
  const session = await http.post('/v1/sessions', { email, password });
  if (session.status !== 201) throw new Error(`Login answered ${session.status}: ${session.text}`);
  return session.body.token;
}
