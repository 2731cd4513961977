import { randomUUID } from 'node:crypto';
import { GRANT_SCOPES, SERVICE_SCOPES } from '../../libs/identity/src/domain/scopes';
import { ROLES, type Role } from '../../libs/platform/src/security/actor';
import {
  POLICY,
  verdictOf,
  type Operation,
  type Owner,
  type Rule,
  type Verdict,
  type Who,
} from '../../apps/api/src/http/policy';
import { waysToRun } from '../support/api-process';
import type { HttpClient, RequestOptions, TestLearner } from '../support/http';
import { withClient } from '../support/servers';
import { describedAs, newThings, request, type Things } from './authorization.requests';
import { RunningApi } from './support';

interface Caller {
  who: Who;
  http: HttpClient;
  options?: RequestOptions;
  /** The learner's own session, where a service acts for one. */
  learner?: HttpClient;
  /** The caller's own, or those of the learner for whom a service acts. */
  things: Things;
}

const STATUS: Record<Exclude<Verdict, 'allow'>, number> = { login: 401, deny: 403, hidden: 404 };
/** After these the caller is not the same any more, or the thing is gone: each is sent by or about somebody new. */
const ENDS = new Set<Operation>(['delete', 'changePassword', 'changeRole', 'logout', 'logoutEverywhere']);
const CONSUMES = /^(delete|undo|remove)./;

const SERVICES = ['a service', 'a service with one scope'];

const operations = Object.keys(POLICY) as Operation[];
const ownersOf = (rule: Rule): Owner[] => [
  'own',
  ...(rule.other === undefined ? [] : ['other' as const]),
  ...(rule.granted === undefined ? [] : ['granted' as const]),
];

describe.each(waysToRun)('the policy table over HTTP, $name', (way) => {
  const run = new RunningApi(way);
  const callers = new Map<string, Caller>();
  let other: Things;
  /** Has granted everything to the TEACHER among the callers. */
  let sharing: Things;
  /** Whom everybody grants something, and whom nobody does. */
  let teachers: [TestLearner, TestLearner];
  let boss: HttpClient;

  const pair = () => teachers.map(({ id }) => id) as [string, string];
  const newCaller = async (role: Role): Promise<Caller> => {
    const user = role === 'STUDENT' ? await run.newLearner() : await run.newUser(role);
    return { who: role, http: user.http, things: await newThings(user.http, boss, user, pair()) };
  };
  const newService = async (scopes: string[]): Promise<Caller> => {
    const { http: learner, things } = await newCaller('STUDENT');
    const account = await boss.post('/v1/service-accounts', { name: randomUUID(), scopes });
    const options = { headers: { 'x-act-as': things.userId } };
    return { who: { scopes }, http: run.http.as(account.body.key), options, learner, things };
  };
  const callerFor = async (name: string, operation: Operation, verdict: Verdict, owner: Owner): Promise<Caller> => {
    const caller = callers.get(name)!;
    if (verdict !== 'allow' || owner !== 'own' || caller.who === undefined) return caller;
    if (ENDS.has(operation) && typeof caller.who === 'string') return newCaller(caller.who);
    if (!CONSUMES.test(operation)) return caller;
    const { userId: id, email, password } = caller.things;
    return { ...caller, things: await newThings(caller.learner ?? caller.http, boss, { id, email, password }, pair()) };
  };
  const thingsFor = async (caller: Caller, operation: Operation, verdict: Verdict, owner: Owner): Promise<Things> => {
    if (owner === 'own') return caller.things;
    if (owner === 'granted') return sharing;
    const used = verdict === 'allow' && (ENDS.has(operation) || CONSUMES.test(operation));
    return used ? (await newCaller('STUDENT')).things : other;
  };

  beforeAll(async () => {
    boss = await run.admin();
    teachers = [await run.newUser('TEACHER'), await run.newUser('TEACHER')];
    other = (await newCaller('STUDENT')).things;
    callers.set('nobody', { who: undefined, http: run.http, things: other });
    for (const role of ROLES) callers.set(role, await newCaller(role));
    const learner = await newCaller('STUDENT');
    const grant = { teacherId: callers.get('TEACHER')!.things.userId, scopes: GRANT_SCOPES };
    expect((await learner.http.post(`/v1/users/${learner.things.userId}/grants`, grant)).status).toBe(201);
    sharing = learner.things;
    callers.set(SERVICES[0]!, await newService([...SERVICE_SCOPES]));
    callers.set(SERVICES[1]!, await newService(['subscription:write']));
  }, 120_000);

  /** Those that have rows of users. */
  let tables: { name: string }[] | undefined;
  /** Everything that the database has of a user, as one text. */
  const everythingOf = (userId: string) =>
    withClient(run.databaseUrl, async (client) => {
      const listed = `
        select table_name as name from information_schema.columns join information_schema.tables using (table_schema, table_name)
        where table_schema = 'public' and column_name = 'user_id' and table_type = 'BASE TABLE' order by 1`;
      tables ??= (await client.query<{ name: string }>(listed)).rows;
      const parts = tables.map(({ name }) => `select '${name}' || t::text as line from ${name} t where user_id = '${userId}'`);
      const all = [...parts, `select 'user' || u::text from users u where id = '${userId}'`].join(' union all ');
      // Without parameters, in one message: between several an embedded database may serve somebody else.
      const { rows } = await client.query(`select count(*), md5(string_agg(line, ' ' order by line)) from (${all}) l`);
      return rows;
    });

  const names = ['nobody', ...ROLES, ...SERVICES];
  it.each(operations)('SEC-1 %s is answered as the table says, whoever asks and whoever owns it', async (operation) => {
    const rule: Rule = POLICY[operation];
    const { method, succeeds } = describedAs(operation);
    for (const name of names) {
      for (const owner of ownersOf(rule)) {
        const verdict = verdictOf(rule, callers.get(name)!.who, owner);
        const caller = await callerFor(name, operation, verdict, owner);
        const things = await thingsFor(caller, operation, verdict, owner);
        const denied = verdict !== 'allow' && method !== 'GET';
        const before = denied && (await everythingOf(things.userId));
        const answer = await request(caller.http, operation, things, caller.options);
        const cell = `${operation}, ${name}, ${owner}: ${verdict}`;
        const expected = verdict === 'allow' ? succeeds : [STATUS[verdict]];
        expect({ cell, status: expected.includes(answer.status) ? 'right' : [answer.status, answer.text] }).toEqual({
          cell,
          status: 'right',
        });
        if (denied) expect({ cell, rows: await everythingOf(things.userId) }).toEqual({ cell, rows: before });
      }
    }
  });

  it('SEC-1 somebody else is answered as nobody is', async () => {
    const ghost = randomUUID();
    const { http, things } = callers.get('STUDENT')!;
    const missing: Things = {
      ...things,
      userId: ghost,
      grantId: ghost,
      chatId: ghost,
      documentId: ghost,
      itemId: ghost,
      progressId: ghost,
    };
    const shown = ({ status, body }: { status: number; body: object }) => ({ status, ...body, traceId: '' });
    for (const operation of operations) {
      if (!('other' in POLICY[operation])) continue;
      const answers = [await request(http, operation, other), await request(http, operation, missing)].map(shown);
      expect({ operation, ...answers[0] }).toEqual({ operation, ...answers[1] });
    }
  });
});
