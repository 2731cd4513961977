import { randomUUID } from 'node:crypto';
import { appendFileSync, mkdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { register, type Gauge } from 'prom-client';
import { AppendMessage, ChangeChat, StartChat } from '@studently/ai-interactions';
import { DeleteUser, PutProfile } from '@studently/identity';
import { AuditKeys, AuditSealer, LearnerKeys, verifyAudit, type Learner } from '@studently/platform';
import { TestContexts } from '../support/contexts';
import { sql } from '../support/database';
import { withClient } from '../support/servers';

describe('The audit log', () => {
  let contexts: TestContexts;
  let sealer: AuditSealer;
  let learner: Learner;
  const rows = <Row extends object>(text: string, values: unknown[] = []) => sql<Row>(contexts.database.adminUrl, text, values);
  const anchorFile = () => join(contexts.folder, 'audit-anchors.jsonl');
  const verify = (options: { from?: Date; to?: Date } = {}) =>
    verifyAudit(
      { url: contexts.database.url, embedded: false },
      { ...options, anchorFiles: [anchorFile()], publicKeys: [contexts.app.get(AuditKeys).public] },
    );
  const rename = async (times = 1) => {
    const id = randomUUID();
    await contexts.commands.execute(new StartChat(learner, { id, title: 'One' }));
    for (let time = 0; time < times; time++)
      await contexts.commands.execute(new ChangeChat(learner, id, { title: `T${time}` }));
    return id;
  };
  /** Until all events are below the horizon: whatever runs in another database of the server holds it up for everybody. */
  const areOver = async () => {
    const horizon = 'select count(*)::int as above from audit_events where xid >= pg_snapshot_xmin(pg_current_snapshot())';
    for (let look = 0; look < 200 && (await rows<{ above: number }>(horizon))[0]!.above > 0; look++) await sleep(50);
  };
  const sealAll = async () => {
    await areOver();
    return sealer.seal();
  };
  beforeEach(async () => {
    contexts = await TestContexts.start();
    await contexts.silence(); // each test says when it seals
    sealer = contexts.app.get(AuditSealer);
    learner = await contexts.newLearner();
  });
  afterEach(() => contexts.stop());

  it('SEC-5 verifies as a chain, whose anchors are outside of the database', async () => {
    await rename(3);
    expect(await sealAll()).toBe(5); // registered, started, renamed three times
    await rename();
    expect(await sealAll()).toBe(2);
    expect(await sealAll()).toBe(0);
    expect(await verify()).toMatchObject({ batches: 2, events: 7, anchors: 2, found: 0 });
    expect(readFileSync(anchorFile(), 'utf8').split('\n')).toHaveLength(3);
    expect(statSync(anchorFile()).mode & 0o777).toBe(0o600);
    expect(statSync(join(contexts.folder, 'audit-signing-key.pem')).mode & 0o777).toBe(0o600);
  });

  describe('SEC-12 names what a superuser did to sealed rows', () => {
    const TAMPERINGS: [what: string, tamper: string, findings: object[]][] = [
      ['an edit', `update audit_events set action = 'chat.forged' where id = 3`, [{ kind: 'edited', id: '3' }]],
      [
        'an edit of the time',
        `update audit_events set occurred_at = occurred_at - interval '1 ms' where id = 3`,
        [{ kind: 'edited', id: '3' }],
      ],
      ['a deletion', 'delete from audit_events where id = 2', [{ kind: 'missing', id: '2' }]],
      [
        'two rows that change places',
        `update audit_events a set xid = b.xid, occurred_at = b.occurred_at, action = b.action, subject_id = b.subject_id,
           changed_fields = b.changed_fields, changes = b.changes, learner_id = b.learner_id, actor_id = b.actor_id, actor_role = b.actor_role
         from audit_events b where (a.id = 3 and b.id = 4) or (a.id = 4 and b.id = 3)`,
        [
          { kind: 'moved', id: '3' },
          { kind: 'moved', id: '4' },
        ],
      ],
      [
        'a row put in between',
        `insert into audit_events (id, xid, occurred_at, actor_role, action) overriding system value
           select 1000, xid, occurred_at, 'ADMIN', 'chat.forged' from audit_events where id = 2`,
        [{ kind: 'added', id: '1000' }],
      ],
      [
        'the end cut off, with its batch',
        'delete from audit_events where id > 5; delete from audit_batches where seq = 2',
        [{ kind: 'batch-missing', batch: '2', ids: '6-7' }],
      ],
      [
        'a first batch removed',
        'delete from audit_events where id <= 5; delete from audit_batches where seq = 1',
        [{ kind: 'batch-missing' }, { kind: 'batch-missing', batch: '1', ids: '1-5' }],
      ],
      [
        'everything gone',
        'truncate audit_events, audit_batches',
        [
          { kind: 'batch-missing', ids: '1-5' },
          { kind: 'batch-missing', ids: '6-7' },
        ],
      ],
      [
        'an edit with its hash adapted',
        `update audit_events set action = 'chat.forged' where id = 6;
         update audit_batches set leaves = sha256('x') || substring(leaves from 33) where seq = 2`,
        [
          { kind: 'edited', id: '6' },
          { kind: 'batch-edited', batch: '2' },
        ],
      ],
      [
        'another signature',
        `update audit_batches set signature = sha256('x') || sha256('y') where seq = 1`,
        [{ kind: 'batch-edited', batch: '1' }],
      ],
    ];
    it.each(TAMPERINGS)('%s', async (_, tamper, findings) => {
      await rename(3);
      await sealAll();
      await rename();
      await sealAll();
      await rows(tamper);
      const { findings: found } = await verify();
      expect(found).toEqual(findings.map((finding) => expect.objectContaining(finding)));
    });

    it('an end that was cut off and written anew', async () => {
      await rename(3);
      await sealAll();
      await rename();
      await sealAll();
      await rows('delete from audit_events where id > 5; delete from audit_batches where seq = 2');
      await rename(2);
      await sealAll();
      const { findings } = await verify();
      expect(findings).toEqual([expect.objectContaining({ kind: 'batch-replaced', batch: '2', ids: '6-7' })]);
    });

    it('everything gone, and another log in its place', async () => {
      await rename(3);
      await sealAll();
      await rows('truncate audit_events, audit_batches; update audit_log set id = gen_random_uuid()');
      expect(await verify()).toMatchObject({ found: 1, findings: [{ kind: 'log-replaced' }] });
      await rename();
      await sealAll();
      expect(await verify()).toMatchObject({ batches: 1, anchors: 1, found: 1, findings: [{ kind: 'log-replaced' }] });
    });

    it('an anchor that was changed, and a file of anchors that is gone', async () => {
      await rename();
      await sealAll();
      const kept = readFileSync(anchorFile(), 'utf8');
      writeFileSync(anchorFile(), kept.replace('"events":3', '"events":2'));
      appendFileSync(anchorFile(), 'nonsense\n');
      expect((await verify()).findings.map(({ kind }) => kind)).toEqual(['anchor-broken', 'anchor-broken']);
      writeFileSync(anchorFile(), '');
      expect((await verify()).findings.map(({ kind }) => kind)).toEqual(['anchors-missing']);
    });
  });

  it('seals up to the oldest transaction under way, in the order of the transactions, and misses none', async () => {
    await areOver(); // the registration
    await withClient(contexts.database.adminUrl, async (client) => {
      const insert = `insert into audit_events (actor_role, action) values ('SYSTEM', 'test.noted')`;
      await client.query(`begin; ${insert}`); // the lower transaction id and row id, committed later
      await rename();
      expect(await sealer.seal()).toBe(1); // the registration: it was over before
      await client.query('commit');
    });
    expect(await sealAll()).toBe(3);
    expect(await verify()).toMatchObject({ events: 4, found: 0 });
  });

  it('is sealed by one process at a time; others leave it', async () => {
    await rename(30);
    await areOver();
    const counts = await Promise.all([1, 2, 3, 4].map(() => sealer.seal()));
    const rest = await sealer.seal();
    expect(counts.reduce((sum, count) => sum + count, rest)).toBe(32);
    expect(await verify()).toMatchObject({ events: 32, found: 0 });
  });

  it('verifies more than one page of batches, in their order', async () => {
    for (let batch = 0; batch < 25; batch++) {
      await rows(`insert into audit_events (actor_role, action) values ('SYSTEM', 'test.noted')`);
      await sealAll();
    }
    await rows(`delete from audit_events where id = 12`);
    expect(await verify()).toMatchObject({ events: 26, found: 1, findings: [{ kind: 'missing', id: '12' }] });
  });

  it('goes on after an anchor that could not be written: the next one covers both batches', async () => {
    mkdirSync(anchorFile());
    await expect(sealer.seal()).rejects.toThrow('EISDIR');
    rmdirSync(anchorFile());
    await rename();
    await sealAll();
    expect(await verify()).toMatchObject({ batches: 2, anchors: 1, found: 0 });
  });

  it('verifies only what was sealed in a time', async () => {
    await rename();
    await sealAll();
    const [between] = await rows<{ sealed_at: Date }>('select sealed_at from audit_batches');
    await new Promise((resolve) => setTimeout(resolve, 5));
    await rename();
    await sealAll();
    await rows(`update audit_events set action = 'chat.forged' where id = 1`);
    const middle = new Date(between!.sealed_at.getTime() + 1);
    expect(await verify({ from: middle })).toMatchObject({ batches: 1, events: 2, found: 0 });
    expect(await verify({ to: middle })).toMatchObject({ batches: 1, events: 3, found: 1 });
  });

  it('tells in a metric how old the oldest unsealed event is', async () => {
    await rename();
    await rows(`update audit_events set occurred_at = now() - interval '1 minute' where id = 1`);
    const measure = () => (sealer as unknown as { measure(): Promise<void> }).measure();
    const gauge = register.getSingleMetric('studently_audit_unsealed_seconds') as Gauge;
    await measure();
    expect((await gauge.get()).values[0]!.value).toBeGreaterThan(55);
    await sealAll();
    await measure();
    expect((await gauge.get()).values[0]!.value).toBe(0);
  });

  describe('MC-12', () => {
    const last = async () => {
      const asked = 'select changed_fields, changes from audit_events order by id desc limit 1';
      return (await rows<{ changed_fields: string[]; changes: Record<string, [string | null, string | null]> }>(asked))[0]!;
    };
    const hashes = async ({ userId } = learner) => {
      const cipher = await contexts.app.get(LearnerKeys).toOpen(userId);
      return (text: string) => cipher.keyedHash('change', JSON.stringify(text)).toString('base64url');
    };
    const putName = async (firstName: string, who = learner) => {
      await contexts.commands.execute(new PutProfile(who, who.userId, { firstName, lastName: 'Lovelace' }));
      return (await last()).changes;
    };

    it('says which fields changed, with keyed hashes of the values before and after', async () => {
      await rename(2);
      const hashOf = await hashes();
      expect(await last()).toEqual({ changed_fields: ['title'], changes: { 'Chat.title': [hashOf('T0'), hashOf('T1')] } });
      const id = randomUUID();
      await contexts.commands.execute(new StartChat(learner, { id, title: 'One' }));
      await contexts.commands.execute(new AppendMessage(learner, id, { id: randomUUID(), role: 'user', content: 'Hello' }));
      expect((await last()).changes).toEqual({
        ChatMessage: [null, expect.stringMatching(/^[\w-]{43}$/)],
        'Chat.messageCount': [expect.any(String), expect.any(String)],
      });
    });

    it('hashes what is sealed by its text: the same name is the same hash, and putting it again changes nothing', async () => {
      await putName('Ada');
      expect(await putName('Ada')).toEqual({});
      const hashOf = await hashes();
      expect(await putName('Grace')).toEqual({ 'Profile.firstName': [hashOf('Ada'), hashOf('Grace')] });
      expect(await putName('Ada')).toEqual({ 'Profile.firstName': [hashOf('Grace'), hashOf('Ada')] });
    });

    it('counts a row of before it was sealed by its text, and one that was changed behind the application by its bytes', async () => {
      await putName('Ada');
      await rows(`update profiles set first_name = 'Ada', first_name_sealed = null`);
      expect(await putName('Ada')).toEqual({});
      await rows(`update profiles set last_name_sealed = first_name_sealed`);
      const hashOf = await hashes();
      expect(await putName('Ada')).toEqual({ 'Profile.lastName': [expect.any(String), hashOf('Lovelace')] });
    });

    it('compares no two learners, and after the key is destroyed nobody can try a value', async () => {
      const before = (await putName('Ada'), await putName('Grace'));
      const other = await contexts.newLearner();
      const elsewhere = (await putName('Ada', other), await putName('Grace', other));
      expect(elsewhere['Profile.firstName']).not.toEqual(before['Profile.firstName']);
      await contexts.commands.execute(new DeleteUser(learner, learner.userId));
      await contexts.app.get(LearnerKeys).destroy(learner.userId); // as a job does it then
      await expect(hashes()).rejects.toMatchObject({ code: 'SEALED_DATA_UNREADABLE' });
      await contexts.app.get(LearnerKeys).toSeal(learner.userId); // another key
      expect(before['Profile.firstName']).not.toContain((await hashes())('Ada'));
    });

    it("names the fields alone where the learner's key cannot be read: the command goes on", async () => {
      const chat = await rename(1);
      const keys = contexts.app.get(LearnerKeys);
      keys.forget(learner.userId);
      await keys.store.replace(learner.userId, []);
      await contexts.commands.execute(new ChangeChat(learner, chat, { title: 'Again' }));
      expect(await last()).toEqual({ changed_fields: ['title'], changes: null });
    });
  });

  it('is kept by month: partitions are made ahead, and an event of a month without one is kept all the same', async () => {
    await sealer.prepareMonths();
    const [late] = await rows<{ name: string; month: string }>(
      `select 'audit_events_' || to_char(m, 'YYYY_MM') as name, to_char(m, 'YYYY-MM-15') as month
       from (select date_trunc('month', now() at time zone 'UTC') + interval '2 months' as m) x`,
    );
    // The months before it may still be in the partition that all was in: on a month's last day that has the next one, too.
    const made = `select inhrelid::regclass::text as name from pg_inherits where inhparent = 'audit_events'::regclass`;
    expect(await rows(made)).toContainEqual({ name: late!.name });
    await rows(`insert into audit_events (occurred_at, actor_role, action) values ('2199-01-01', 'SYSTEM', 'test.noted')`);
    expect(await rows('select from audit_events_default')).toHaveLength(1);
    await rows(`drop table ${late!.name}`);
    await rows(`insert into audit_events (occurred_at, actor_role, action) values ('${late!.month}', 'SYSTEM', 'test.noted')`);
    await sealer.prepareMonths();
    expect(await rows(`select from ${late!.name}`)).toHaveLength(1);
    expect(await rows('select from audit_events_default')).toHaveLength(1);
  });
});
