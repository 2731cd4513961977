import { GRANT_SCOPES, SERVICE_SCOPES } from '../../libs/identity/src/domain/scopes';
import fc from 'fast-check';
import { admin } from '../support/api-process';
import { HttpClient, logIn, newLearner, type TestLearner } from '../support/http';
import { operations, type Operation } from '../support/operations';
import { startApi, startServers } from '../support/platform';
import { breachOf } from './fuzz/contract';
import { stepOf, type Step } from './fuzz/steps';
import type { TortureContext } from './harness/torture';

export const promise =
  'no sequence of requests that can be made from the OpenAPI document, right or wrong, is answered with 5xx or with anything that the document does not describe';
export const ops = 100_000;
export const shortOps = 600;

const STEPS = 50;
const AT_A_TIME = 8;
/** They would end what the sequence goes on with; each is the last of its sequence. */
const ENDING = ['DELETE /v1/users/{userId}', 'DELETE /v1/sessions', 'DELETE /v1/sessions/current'];

export async function run(context: TortureContext): Promise<Record<string, number>> {
  const { settings } = await startServers(context);
  const unlimited = { RATE_LIMIT: '100000000', RATE_LIMIT_AUTH: '100000000' };
  const bootstrap = { BOOTSTRAP_ADMIN_EMAIL: admin.email, BOOTSTRAP_ADMIN_PASSWORD: admin.password };
  const api = await startApi(context, { ...settings, ...unlimited, ...bootstrap });
  const http = new HttpClient(api.url);
  const boss = http.as(await logIn(http, admin.email, admin.password));
  const account = await boss.post('/v1/service-accounts', { name: 'fuzz', scopes: SERVICE_SCOPES });
  const service = http.as(account.body.key);
  const { id: teacherId, email, password } = await newLearner(http);
  await boss.put(`/v1/users/${teacherId}/role`, { role: 'TEACHER' });
  const teacher = http.as(await logIn(http, email, password));
  const figures = { sequences: 0, answered2xx: 0, answered4xx: 0, ofServices2xx: 0, ofTeachers2xx: 0 };
  const sequence = fc.array(fc.oneof(...operations.map(stepOf)), { minLength: STEPS, maxLength: STEPS, size: 'max' });
  let seed = context.seed;

  /** @returns the first breach of a sequence by a new learner */
  const play = async (steps: readonly Step[], counted: boolean): Promise<string | undefined> => {
    const learner = await newLearner(http);
    await learner.http.post(`/v1/users/${learner.id}/grants`, { teacherId, scopes: GRANT_SCOPES });
    const things = new Map<string, string[]>([['userId', [learner.id]]]);
    for (const step of [...steps].sort((a, b) => ranked(a) - ranked(b))) {
      const { request, answer } = await send(step, { http, boss, learner, service, teacher }, things);
      const breach = breachOf(step.operation, answer);
      if (counted) {
        figures[answer.status < 400 ? 'answered2xx' : 'answered4xx'] += 1;
        if (step.caller === 'service' && answer.status < 400) figures.ofServices2xx += 1;
        if (step.caller === 'teacher' && answer.status < 400) figures.ofTeachers2xx += 1;
        if (!breach) context.attempt(true, () => '');
      }
      if (breach) return `${step.operation.name} ${request.slice(0, 700)} ${breach}`;
      remember(step.operation, answer.body, things);
    }
    return undefined;
  };
  const worker = async () => {
    while (context.attempted < context.ops) {
      figures.sequences += 1;
      const [steps] = fc.sample(sequence, { numRuns: 1, seed: seed++ }) as [Step[]];
      const breach = await play(steps, true);
      if (breach) await report(context, steps, breach, play);
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, worker));
  return figures;
}

const ranked = ({ operation }: Step) => (ENDING.includes(operation.name) ? 1 : 0);

/** The shortest part of the sequence that still does it: steps are left out one by one. */
async function report(
  context: TortureContext,
  steps: readonly Step[],
  breach: string,
  play: (steps: readonly Step[], counted: boolean) => Promise<string | undefined>,
): Promise<void> {
  let [shortest, told] = [steps, breach];
  for (let at = shortest.length - 1; at >= 0; at--) {
    const without = shortest.filter((_, index) => index !== at);
    const still = await play(without, false);
    if (still) [shortest, told] = [without, still];
  }
  context.attempt(false, () => `${shortest.map(({ operation }) => operation.name).join(', ')}: ${told}`);
}

interface Callers {
  http: HttpClient;
  boss: HttpClient;
  learner: TestLearner;
  service: HttpClient;
  teacher: HttpClient;
}

async function send(step: Step, { http, learner, ...others }: Callers, things: ReadonlyMap<string, readonly string[]>) {
  const caller = { ...others, learner: learner.http, nobody: http }[step.caller];
  const path = step.path((name, choice) => {
    const known = things.get(name) ?? [];
    return known[choice % Math.max(known.length, 1)];
  });
  const { method } = step.operation;
  const headers = { ...(step.caller === 'service' && { 'x-act-as': learner.id }), ...step.headers };
  const answer = await caller.send(method, path, step.body, { headers });
  return { answer, request: JSON.stringify({ as: step.caller, path, headers, body: step.body }) };
}

/** What a POST has made can be read, changed and deleted by the steps that follow. */
function remember({ method, path }: Operation, body: { id?: unknown } | undefined, things: Map<string, string[]>): void {
  const [, noun] = /^\/v1\/(?:study\/)?(chat|document|item|progress)s?$/.exec(path) ?? [];
  if (method !== 'POST' || !noun || typeof body?.id !== 'string') return;
  things.set(`${noun}Id`, [...(things.get(`${noun}Id`) ?? []), body.id]);
}
