import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { EventLog, LearnerNews, type EventCursor, type Learner } from '@studently/platform';
import { until } from '../e2e/support';
import { TestContexts } from '../support/contexts';
import { sql } from '../support/database';

const INSERT = `insert into audit_events (actor_role, learner_id, action, subject_id) values ('STUDENT', $1, 'chat.started', $2)`;

describe('The log of a learner’s events', () => {
  let contexts: TestContexts;
  let log: EventLog;
  let ada: Learner;
  let now: EventCursor;
  const rows = (text: string, values: unknown[] = []) => sql<Record<string, any>>(contexts.database.adminUrl, text, values);
  const write = (subject: string, learner = ada.userId) => rows(INSERT, [learner, subject]);
  beforeAll(async () => {
    contexts = await TestContexts.start();
    await contexts.silence(); // whoever seals the log reads it, too
    log = contexts.app.get(EventLog);
  });
  afterAll(() => contexts?.stop());
  beforeEach(async () => {
    ada = await contexts.newLearner();
    now = (await log.read(ada)).next;
  });

  /** A transaction that has written and is not committed. */
  const begin = async (subject: string): Promise<Client> => {
    const client = new Client({ connectionString: contexts.database.adminUrl });
    await client.connect();
    await client.query('begin');
    await client.query(INSERT, [ada.userId, subject]);
    return client;
  };
  const commit = async (client: Client) => {
    await client.query('commit');
    await client.end();
  };
  const readFrom = async (cursor: EventCursor) => {
    const { events, next, isReset } = await log.read(ada, cursor);
    return { subjects: events.map(({ event }) => event.subjectId), events, next, isReset };
  };

  it('OV-3 shows each event once, in whatever order their transactions commit', async () => {
    const [first, second] = [await begin('first'), await begin('second')];
    await write('third');
    const one = await readFrom(now);
    expect(one.subjects).toEqual(['third']);
    await commit(second);
    await write('fourth');
    const two = await readFrom(one.next);
    expect(two.subjects).toEqual(['second', 'fourth']);
    const between = await readFrom(two.events[0]!.cursor); // cut in the middle of the batch
    expect(between.subjects).toEqual(['fourth']);
    await commit(first);
    expect((await readFrom(two.next)).subjects).toEqual(['first']);
    // Whoever was cut in the middle first ends the batch: what came later has its turn afterwards, and once.
    const still = await readFrom(two.events[0]!.cursor);
    expect([still.subjects, (await readFrom(still.next)).subjects]).toEqual([['fourth'], ['first']]);
    expect((await readFrom(now)).subjects).toEqual(['first', 'second', 'third', 'fourth']);
  });

  it('OV-3 orders two that waited for each other as they came about, although the later one has begun first', async () => {
    const early = new Client({ connectionString: contexts.database.adminUrl });
    await early.connect();
    await early.query('begin');
    await early.query('select pg_current_xact_id()'); // has the lower id, and writes after the other
    await write('first');
    await early.query(INSERT, [ada.userId, 'second']);
    await commit(early);
    expect((await readFrom(now)).subjects).toEqual(['first', 'second']);
  });

  it('OV-3 goes through a batch of many pages, cut after any event, while others write', async () => {
    await rows(
      `insert into audit_events (actor_role, learner_id, action, subject_id)
       select 'STUDENT', $1, 'chat.started', n::text from generate_series(1, 450) n`,
      [ada.userId],
    );
    const wanted = Array.from({ length: 450 }, (_each, index) => String(index + 1));
    const seen: string[] = [];
    let cursor = now;
    for (let turn = 1; seen.length < 455; turn++) {
      const { subjects, events, next } = await readFrom(cursor);
      const cut = turn % 2 === 0 ? subjects.length : Math.ceil(subjects.length / 3);
      seen.push(...subjects.slice(0, cut));
      cursor = cut === subjects.length ? next : events[cut - 1]!.cursor;
      if (turn <= 5) {
        wanted.push(`later ${turn}`);
        await write(`later ${turn}`);
      }
    }
    expect(seen).toEqual(wanted);
    expect((await readFrom(cursor)).subjects).toEqual([]);
  });

  it('SEC-2 shows the database’s role for learners nobody else’s, not who did it, and nobody who has read', async () => {
    const ben = await contexts.newLearner();
    await write('ada’s');
    await write('ben’s', ben.userId);
    await rows(
      `insert into audit_events (actor_id, actor_role, learner_id, action, subject_id, operation)
       values ($2, 'TEACHER', $1::uuid, 'learner.read', $1::text, 'listLearnerChats')`,
      [ada.userId, randomUUID()],
    );
    expect((await readFrom(now)).subjects).toEqual(['ada’s']);
    const asked = (userId?: string) =>
      sql<object>(contexts.database.url, `select * from own_events('1:1:', null, 0, 1000)`, [], {
        role: 'studently_app',
        userId,
      });
    const columns = ['action', 'changed_fields', 'id', 'occurred_at', 'subject_id', 'xid'];
    expect((await asked(ada.userId)).map((row) => Object.keys(row).sort())).toEqual([columns, columns]); // with the registration
    expect(await asked()).toEqual([]);
    for (const role of ['studently_worker', 'studently_teacher', 'studently_readonly']) {
      const other = sql(contexts.database.adminUrl, `select * from own_events('1:1:', null, 0, 1)`, [], { role });
      await expect(other).rejects.toMatchObject({ code: '42501' });
    }
  });

  it('OV-3 says that a cursor is of another server, of another timeline or ahead, and where it stands itself', async () => {
    const { timeline, since } = now;
    const ahead = `${since.split(':')[0]}:${BigInt(since.split(':')[1]!) + 1000n}:`;
    const foreign: EventCursor[] = [
      { timeline: timeline.replace(/^\d/, '1'), since },
      { timeline: timeline.replace(/1$/, '2'), since },
      { timeline, since: ahead },
      { timeline, since, batch: { until: ahead, after: '0' } },
    ];
    await write('unseen');
    for (const cursor of foreign.filter((one) => one.timeline !== timeline || one !== foreign[0])) {
      const { isReset, subjects, next } = await readFrom(cursor);
      expect([isReset, subjects]).toEqual([true, []]);
      await write('seen');
      expect((await readFrom(next)).subjects).toEqual(['seen']);
    }
    expect((await readFrom(now)).isReset).toBe(false);
  });

  it('finds what is new by the index, however long somebody else’s transaction is open', async () => {
    const long = await begin('long');
    await rows(
      `insert into audit_events (actor_role, learner_id, action) select 'STUDENT', $1, 'chat.started' from generate_series(1, 20000)`,
      [ada.userId],
    );
    await rows('analyze audit_events');
    await sleep(1200); // the statistics are told once a second
    const before = await fetched();
    let { next } = await log.read(ada);
    for (let read = 0; read < 10; read++) {
      await write(`news ${read}`);
      const page = await readFrom(next);
      expect(page.subjects).toEqual([`news ${read}`]);
      next = page.next;
    }
    await commit(long);
    await sleep(1200);
    expect((await fetched()) - before).toBeLessThan(5000);
  });

  /** Rows of the log that were looked at, by index or without. */
  const fetched = async (): Promise<number> => {
    const [row] = await rows(
      `select sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::int as count from pg_stat_user_tables where relname like 'audit_events%'`,
    );
    return row!['count'];
  };

  it('OV-3 tells who watches a learner of each commit, also of those that nobody announces', async () => {
    const news = contexts.app.get(LearnerNews);
    const heard: (string | undefined)[] = [];
    const unwatch = news.watch(ada.userId, (xid) => heard.push(xid));
    await until(async () => heard.includes(undefined)); // the first look: there may have been something before
    const slow = await begin('slow');
    const [{ xid: slowId }] = (await slow.query('select pg_current_xact_id()::text as xid')).rows;
    await write('quick');
    const [quick] = await rows(`select xid::text from audit_events where subject_id = 'quick'`);
    await until(async () => heard.includes(quick!['xid']));
    expect(heard).not.toContain(slowId);
    await commit(slow);
    await until(async () => heard.includes(slowId));
    unwatch();
    const count = heard.length;
    await write('unheard');
    await sleep(1000);
    expect(heard).toHaveLength(count);
  });
});
