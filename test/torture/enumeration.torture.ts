import { randomUUID } from 'node:crypto';
import { Agent, request } from 'node:http';
import { HttpClient, newLearner, type TestLearner } from '../support/http';
import { startApi, startServers } from '../support/platform';
import { median, rankDeviate } from './harness/ranks';
import type { TortureContext } from './harness/torture';

export const promise =
  'a failed login, and a failed change of a password, tell neither by their words nor by their time whether there is such a user';
export const ops = 10_000;
export const shortOps = 100;

const HIGH_LIMITS = { RATE_LIMIT: '1000000', RATE_LIMIT_AUTH: '1000000' };
/** Each account: so few that none is throttled, however fast the machine is. */
const MOST_GUESSES = 4;
/** Below that number medians say nothing on a busy machine, and ranks tell only what is very wrong, like a hash that is left out. */
const ENOUGH = 4000;

interface Probe {
  status: number;
  body: string;
  milliseconds: number;
}

interface Request {
  method: string;
  path: string;
  token?: string;
  body: object;
}

export async function run(context: TortureContext): Promise<Record<string, number>> {
  const { settings } = await startServers(context);
  const { url } = await startApi(context, { ...settings, ...HIGH_LIMITS });
  const http = new HttpClient(url);
  const known = Math.ceil(context.ops / MOST_GUESSES);
  context.progress(`registering ${known} learners`);
  const learners: TestLearner[] = [];
  while (learners.length < known) learners.push(await newLearner(http));
  const asking = learners[0]!;

  const logins = await compare(context, url, 'login', context.ops, (isKnown, turn) => ({
    method: 'POST',
    path: '/v1/sessions',
    body: {
      email: isKnown ? learners[turn % learners.length]!.email : `${randomUUID()}@example.org`,
      password: `a wrong one ${randomUUID()}`,
    },
  }));
  const changes = await compare(context, url, 'password', context.ops, (isKnown, turn) => ({
    method: 'PUT',
    path: `/v1/users/${isKnown ? learners[1 + (turn % (learners.length - 1))]!.id : randomUUID()}/password`,
    token: asking.token,
    body: { currentPassword: `a wrong one ${randomUUID()}`, newPassword: `another one ${randomUUID()}` },
  }));
  return { ...logins, ...changes };
}

/** Known and unknown in turn, in an order that chance decides for each pair. */
async function compare(
  context: TortureContext,
  url: string,
  name: string,
  count: number,
  make: (isKnown: boolean, turn: number) => Request,
): Promise<Record<string, number>> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const times: Record<'known' | 'unknown', number[]> = { known: [], unknown: [] };
  for (let turn = 0; turn < 20; turn++) await probe(url, agent, make(turn % 2 === 0, turn)); // warm
  let expected: string | undefined;
  for (let turn = 0; turn < count / 2; turn++) {
    const first = context.random() < 0.5;
    for (const isKnown of [first, !first]) {
      const { status, body, milliseconds } = await probe(url, agent, make(isKnown, turn));
      const answer = `${status} ${body}`;
      expected ??= answer;
      context.attempt(answer === expected, () => `${name}: ${answer} is not ${expected}`);
      times[isKnown ? 'known' : 'unknown'].push(milliseconds);
    }
    if (turn % 500 === 0) context.progress(`${name}: ${2 * turn} of ${count}`);
  }
  agent.destroy();
  return judge(context, name, times.known, times.unknown);
}

function judge(context: TortureContext, name: string, known: number[], unknown: number[]): Record<string, number> {
  const [knownMs, unknownMs, z] = [median(known), median(unknown), rankDeviate(known, unknown)];
  const isEnough = known.length + unknown.length >= ENOUGH;
  const told = `${name}: median ${knownMs.toFixed(3)} ms where it is known, ${unknownMs.toFixed(3)} ms where not, z ${z.toFixed(2)}`;
  if (isEnough) context.attempt(Math.abs(knownMs / unknownMs - 1) <= 0.01, () => told);
  context.attempt(Math.abs(z) < (isEnough ? 3 : 5), () => told);
  return { [`${name}KnownMs`]: knownMs, [`${name}UnknownMs`]: unknownMs, [`${name}Z`]: z };
}

/** On one connection, with the time from the request to the end of its answer. */
function probe(url: string, agent: Agent, { method, path, token, body }: Request): Promise<Probe> {
  const text = JSON.stringify(body);
  const headers = {
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(text)),
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
  };
  return new Promise((resolve, reject) => {
    const sent = performance.now();
    const sending = request(url + path, { method, headers, agent }, (response) => {
      let answer = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (answer += chunk));
      response.on('end', () => {
        const milliseconds = performance.now() - sent;
        const { traceId: _, ...said } = JSON.parse(answer) as Record<string, unknown>;
        resolve({ status: response.statusCode!, body: JSON.stringify(said), milliseconds });
      });
    });
    sending.on('error', reject).end(text);
  });
}
