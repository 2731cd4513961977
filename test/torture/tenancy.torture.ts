import { SERVICE_SCOPES } from '../../libs/identity/src/domain/scopes';
import { admin } from '../support/api-process';
import { HttpClient, logIn, type Answer } from '../support/http';
import { operations } from '../support/operations';
import { DATABASE, startApi, startServers } from '../support/platform';
import { withClient } from '../support/servers';
import { personalTables } from '../integration/catalog';
import type { TortureContext } from './harness/torture';
import { ghostOf, newEstate, type Estate, type Names } from './tenancy/estate';
import { chooseIntrusion, NARROW_SCOPE, SENDERS, type Intrusion, type Sender } from './tenancy/intrusion';

export const promise =
  "whoever names another learner's things, be it a learner, a teacher or a service that acts for somebody, on any route, in path, query, body or header, is answered as if there were none, and changes nothing";
const TRIES_PER_ROUTE = 1000;
export const ops = TRIES_PER_ROUTE * operations.length;
export const shortOps = 8 * operations.length;

const PAIRS = 6;
/** These end sessions of whoever sends them. */
const ENDING = ['DELETE /v1/sessions', 'DELETE /v1/sessions/current'];

/** Two intruders with the same things and the same way: one names what is a victim's, the other what never was. */
interface Pair {
  thief: Estate;
  dreamer: Estate;
}

export async function run(context: TortureContext): Promise<Record<string, number>> {
  const { postgres, settings } = await startServers(context);
  const unlimited = { RATE_LIMIT: '1000000', RATE_LIMIT_AUTH: '1000000' };
  const bootstrap = { BOOTSTRAP_ADMIN_EMAIL: admin.email, BOOTSTRAP_ADMIN_PASSWORD: admin.password };
  const api = await startApi(context, { ...settings, ...unlimited, ...bootstrap });
  const http = new HttpClient(api.url);
  const boss = http.as(await logIn(http, admin.email, admin.password));
  const newService = async (scopes: readonly string[]): Promise<string> =>
    (await boss.post('/v1/service-accounts', { name: scopes.join(), scopes })).body.key;
  const services = { service: await newService(SERVICE_SCOPES), unscoped: await newService([NARROW_SCOPE]) };
  const victim = await newEstate(http, boss);
  const ghost = ghostOf(victim);
  const pairs: Pair[] = [];
  while (pairs.length < PAIRS) {
    pairs.push({ thief: await newEstate(http, boss), dreamer: await newEstate(http, boss) });
  }

  const adminUrl = postgres.url(DATABASE);
  const before = await rowsOf(adminUrl, victim.learner.id);
  const statuses: Record<string, number> = {};
  const senders = Object.fromEntries(SENDERS.map((sender) => [sender, 0])) as Record<Sender, number>;
  let number = 0;
  const attack = async (pair: Pair) => {
    while (number < context.ops) {
      const operation = operations[number % operations.length]!;
      const intrusion = chooseIntrusion(context, operation, number++);
      const [told, asIfNone] = await Promise.all([
        send(http, services, pair.thief, intrusion, victim),
        send(http, services, pair.dreamer, intrusion, ghost),
      ]);
      const group = `${Math.floor(told.status / 100)}xx`;
      statuses[group] = (statuses[group] ?? 0) + 1;
      senders[intrusion.sender] += 1;
      judge(context, intrusion, victim, told, asIfNone);
    }
  };
  await Promise.all(pairs.map(attack));
  const after = await rowsOf(adminUrl, victim.learner.id);
  for (const [table, rows] of Object.entries(before)) {
    context.attempt(after[table] === rows, () => `the victim's rows in ${table} have changed`);
  }
  return { routes: operations.length, ...statuses, ...senders };
}

async function send(
  http: HttpClient,
  services: Record<'service' | 'unscoped', string>,
  { learner, teacherToken, ...names }: Estate,
  { operation, sender, request }: Intrusion,
  foreign: Names,
): Promise<Answer> {
  const { path, headers, body } = request(names, foreign);
  const anew = sender === 'learner' && ENDING.includes(operation.name);
  const token = anew
    ? await logIn(http, learner.email, learner.password)
    : { learner: learner.token, teacher: teacherToken, ...services }[sender];
  const answer = await http.send(operation.method, path, body, { token, headers });
  if (operation.name === ENDING[0] && answer.status < 300) learner.token = await logIn(http, learner.email, learner.password);
  return answer;
}

function judge(
  context: TortureContext,
  { operation, sender, request }: Intrusion,
  victim: Estate,
  told: Answer,
  asIfNone: Answer,
) {
  const everything = `${told.text}\n${[...told.headers].join('\n')}`;
  const leaked = victim.canaries.find((canary) => everything.includes(canary));
  // Only guesses at a password are limited here: the limit may be reached between the two. `enumeration` tries what it tells.
  const isLimited = told.status === 429 || asIfNone.status === 429;
  const same =
    isLimited || (told.status === asIfNone.status && (told.status < 400 || comparable(told) === comparable(asIfNone)));
  const what = () => `${operation.name} by a ${sender} ${JSON.stringify(request(victim, victim)).slice(0, 600)}`;
  context.attempt(leaked === undefined && same, () =>
    leaked === undefined
      ? `${what()} answers ${comparable(told)}, and of what never was: ${comparable(asIfNone)}`
      : `${what()} answers with ${leaked}: ${told.text.slice(0, 300)}`,
  );
}

/** Status and body, but for what names the request itself, and how many seconds a window still lasts that others have begun. */
const comparable = ({ status, body, text }: Answer) =>
  `${status} ${body ? JSON.stringify({ ...body, traceId: undefined }) : text}`
    .replace(/again in \d+ s/, 'again in … s')
    .slice(0, 1000);

/** A checksum of a learner's rows, by table; and how often something of the learner was recorded. */
async function rowsOf(adminUrl: string, userId: string): Promise<Record<string, string>> {
  const tables = await personalTables(adminUrl);
  return withClient(adminUrl, async (client) => {
    const sums: Record<string, string> = {};
    for (const table of [...tables, 'audit_events']) {
      const owner = table === 'users' ? 'id' : table === 'audit_events' ? 'learner_id' : 'user_id';
      const { rows } = await client.query<{ sum: string }>(
        `select count(*) || ' ' || coalesce(md5(string_agg(t::text, '|' order by t::text)), '') as sum from ${table} t where ${owner} = $1`,
        [userId],
      );
      sums[table] = rows[0]!.sum;
    }
    return sums;
  });
}
