import { createHash, randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from '@nestjs/cqrs';
import type { Pool } from 'pg';
import {
  AddDocument,
  AppendMessage,
  DeleteChat,
  GetChat,
  ImportDocuments,
  MessageAppended,
  readNewDocument,
  ChangeChat,
  StartChat,
} from '@studently/ai-interactions';
import {
  BootstrapAdmin,
  ChangeProfile,
  ChangeRole,
  ChangeUser,
  DeleteUser,
  GetUser,
  ProfileChanged,
  PutProfile,
  RegisterUser,
} from '@studently/identity';
import { Database, DomainEvent, LearnerKeys, UnitOfWork, type Learner, type Written } from '@studently/platform';
import { AddStudyItem, ImportStudyItems, RecordProgress } from '@studently/study';
import { decodeReadToken, snapshotSees } from '../../libs/platform/src/persistence/read-token';
import { TestContexts } from '../support/contexts';
import { sql } from '../support/database';
import { withClient } from '../support/servers';

class Noted extends DomainEvent {
  static override readonly topic = 'test.noted';
  readonly subjectId = 'x';
  constructor(readonly learnerId: string) {
    super();
  }
}

const codes = (results: PromiseSettledResult<unknown>[]) =>
  results.map((result) => (result.status === 'fulfilled' ? 'ok' : (result.reason as { code: string }).code)).sort();

describe('The unit of work', () => {
  let contexts: TestContexts;
  let unitOfWork: UnitOfWork;
  let pool: Pool;
  beforeAll(async () => {
    contexts = await TestContexts.start({ DATABASE_POOL_SIZE: '8' });
    unitOfWork = contexts.app.get(UnitOfWork);
    pool = await contexts.app.get(Database).pool();
    // What the relay does is told in outbox.int-spec.ts; here its statements would mix with those that are counted.
    await contexts.silence();
  });
  afterAll(() => contexts?.stop());

  const execute = <T>(command: Command<T>): Promise<T> => contexts.commands.execute(command);
  const rows = <Row extends object>(text: string, values: unknown[] = []) => sql<Row>(contexts.database.adminUrl, text, values);
  const newChat = async (learner: Learner, title = 'Chat') => {
    const id = randomUUID();
    await execute(new StartChat(learner, { id, title }));
    return id;
  };
  const titleOf = async (learner: Learner, chatId: string, readToken?: string) =>
    (await contexts.queries.execute(new GetChat(learner, { chatId, after: 0, limit: 5 }, readToken))).value.title;
  const text = { type: 'text', content: 'Grass is green.' };
  const card = { type: 'flashcard', content: { front: 'a', back: 'b' } };
  const message = (content = 'x') => ({ id: randomUUID(), role: 'user' as const, content });
  const idempotency = (key: string) => ({ key, fingerprint: createHash('sha256').update(key).digest() });

  /** Everything in the database, to be compared: what is not there before and after did not happen. */
  async function everything(): Promise<Record<string, unknown>> {
    const tables = [
      'users',
      'user_emails',
      'profiles',
      'sessions',
      'idempotency_keys',
      'chats',
      'chat_messages',
      'chat_turns',
      'import_batches',
      'documents',
      'document_passages',
      'passage_vectors',
      'turn_vectors',
      'former_vectors',
      'published_documents',
      'published_passages',
      'study_items',
      'study_reviews',
      'progress',
      'audit_events',
      'jobs',
      'outbox',
    ];
    const hashes = tables.map(
      (table) => `(select concat(count(*), ' ', md5(string_agg(t::text, '|' order by t::text))) from ${table} t) as ${table}`,
    );
    return (await rows<Record<string, unknown>>(`select ${hashes.join(', ')}`))[0]!;
  }

  describe('all or nothing', () => {
    type Prepared = { command: () => Command<unknown>; before?: () => Promise<void> };
    const commands: Record<string, (learner: Learner, chatId: string) => Prepared> = {
      RegisterUser: () => {
        const id = randomUUID();
        const user = {
          id,
          email: `${id}@example.org`,
          password: 'a very long password',
          profile: { firstName: 'A', lastName: 'B' },
        };
        return { command: () => new RegisterUser({ idempotency: idempotency(id) }, user) };
      },
      ChangeUser: (learner) => ({
        command: () =>
          new ChangeUser(learner, learner.userId, { email: `${randomUUID()}@example.org`, profile: { firstName: 'C' } }),
      }),
      PutProfile: (learner) => ({
        command: () =>
          new PutProfile({ ...learner, idempotency: idempotency(learner.userId) }, learner.userId, {
            firstName: 'D',
            lastName: 'E',
          }),
      }),
      StartChat: (learner) => ({
        command: () => new StartChat(learner, { id: randomUUID(), title: 'x', messages: [message(), message()] }),
      }),
      AppendMessage: (learner, chatId) => ({
        command: () => new AppendMessage({ ...learner, idempotency: idempotency(chatId) }, chatId, message()),
      }),
      AddDocument: (learner) => ({ command: () => new AddDocument(learner, readNewDocument(text)) }),
      ImportDocuments: (learner) => ({
        command: () => {
          const supplied = readNewDocument({ ...text, embedding: Array<number>(1536).fill(1) });
          const lines = [readNewDocument(text), supplied].map((value, nr) => ({ line: nr + 1, bytes: 1, value }));
          return new ImportDocuments(learner, lines, randomUUID());
        },
      }),
      AddStudyItem: (learner) => ({ command: () => new AddStudyItem(learner, { id: randomUUID(), ...card }) }),
      ImportStudyItems: (learner) => ({
        command: () => {
          const reviews = [{ clientReviewId: 'x', rating: 3, reviewedAt: new Date() }];
          return new ImportStudyItems(learner, [{ line: 1, bytes: 1, value: { ...card, reviews } }], randomUUID());
        },
      }),
      RecordProgress: (learner) => ({
        command: () => new RecordProgress(learner, { id: randomUUID(), category: 'algebra', score: 62.5 }),
      }),
      DeleteChat: (learner, chatId) => ({ command: () => new DeleteChat(learner, chatId) }),
      DeleteUser: (learner) => ({ command: () => new DeleteUser(learner, learner.userId) }),
    };

    /** Lets the n-th statement that any connection sends fail. @returns how many were sent up to the commit, and an end to it */
    async function failingAt(n: number, fail: (connection: { stream: Socket }) => void) {
      const connection = await pool.connect();
      const client = Object.getPrototypeOf(connection) as { query: (...args: unknown[]) => unknown };
      connection.release();
      let sent = 0;
      let isCommitted = false; // what follows is done again by the relay, if it fails
      const query = client.query;
      const spy = jest.spyOn(client, 'query').mockImplementation(function (this: { connection: { stream: Socket } }, ...args) {
        if (!isCommitted && ++sent === n) fail(this.connection);
        isCommitted ||= args[0] === 'commit';
        return query.apply(this, args);
      });
      return { sent: () => sent, end: () => spy.mockRestore() };
    }

    const faults: Record<string, (connection: { stream: Socket }) => void> = {
      'fails in this process': () => {
        throw new Error('injected');
      },
      'loses its connection': ({ stream }) => stream.destroy(),
    };

    const cases = Object.keys(commands).flatMap((name) => Object.keys(faults).map((fault) => ({ name, fault })));
    it.each(cases)('TI-3 $name, when each of its statements in turn $fault', async ({ name, fault }) => {
      const learner = await contexts.newLearner();
      await execute(new PutProfile(learner, learner.userId, { firstName: 'A', lastName: 'B' }));
      const { command } = commands[name]!(learner, await newChat(learner));
      const before = await everything();
      const stops: number[] = [];
      for (let n = 1; ; n++) {
        const injected = await failingAt(n, faults[fault]!);
        const result = await execute(command()).then(
          () => 'done',
          () => 'failed',
        );
        injected.end();
        await idle();
        if (injected.sent() < n) {
          expect(result).toBe('done');
          break;
        }
        stops.push(n);
        expect([n, result, await everything()]).toEqual([n, 'failed', before]);
        expect(n).toBeLessThan(50);
      }
      expect(stops.length).toBeGreaterThanOrEqual(5); // opening, load, write, record, commit
      // And then it happened once, as a whole.
      const count = (value: unknown) => Number(String(value).split(' ')[0]);
      const after = await everything();
      expect(count(after['audit_events'])).toBe(count(before['audit_events']) + 1);
      expect(count(after['outbox'])).toBe(count(before['outbox']) + 1);
    });

    // The commit is on its way together with the last statement, before that has an answer.
    it('TI-3 commits nothing where the server refuses the last statement, or the commit itself', async () => {
      const learner = await contexts.newLearner();
      const chatId = await newChat(learner);
      const nobody = { ...learner, userId: randomUUID() };
      const before = await everything();
      const renamed = (actor: Learner, event: DomainEvent) =>
        unitOfWork.run(actor, async (tx) => {
          await tx.query('update chats set title = $2 where id = $1', [chatId, 'after']);
          tx.record(event);
        });
      await expect(renamed(learner, new Noted('not a uuid'))).rejects.toMatchObject({ code: '22P02' });
      // Whose key it is the database asks at the commit.
      const nobodysKey = { ...nobody, idempotency: idempotency('nobody') };
      await expect(renamed(nobodysKey, new Noted(learner.userId))).rejects.toMatchObject({ code: 'USER_NOT_FOUND' });
      expect(await everything()).toEqual(before);
      await idle();
    });

    /** No connection is out, and none has a transaction open on the server. */
    async function idle(): Promise<void> {
      expect([pool.totalCount - pool.idleCount, pool.waitingCount]).toEqual([0, 0]);
      for (let attempt = 0; ; attempt++) {
        const open = await rows(
          `select state from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'`,
        );
        if (open.length === 0) return;
        if (attempt === 50) expect(open).toEqual([]);
      }
    }

    it('TI-3 SEC-5 MC-11 writes the row, who did what, and what must happen elsewhere, in one transaction', async () => {
      const learner = { ...(await contexts.newLearner()), requestId: 'request-1' };
      const chatId = await newChat(learner);
      const written = await rows(
        `select c.xmin = a.xmin and a.xmin = o.xmin as together, a.actor_id, a.actor_role, a.learner_id, a.action, a.subject_id,
                a.changed_fields, a.request_id, o.topic, o.payload
         from chats c join audit_events a on a.subject_id = c.id::text join outbox o on o.payload ->> 'subjectId' = c.id::text
         where c.id = $1`,
        [chatId],
      );
      expect(written).toEqual([
        {
          together: true,
          actor_id: learner.userId,
          actor_role: 'STUDENT',
          learner_id: learner.userId,
          action: 'chat.started',
          subject_id: chatId,
          changed_fields: [],
          request_id: 'request-1',
          topic: 'chat.started',
          payload: { learnerId: learner.userId, subjectId: chatId, changedFields: [], toBeEmbedded: false },
        },
      ]);
    });

    it('SEC-5 refuses a command that does not say what it did', async () => {
      const learner = await contexts.newLearner();
      const chatId = await newChat(learner, 'before');
      const silent = unitOfWork.run(learner, async (tx) => void (await tx.query(`update chats set title = 'after'`)));
      await expect(silent).rejects.toThrow('must record');
      expect(await titleOf(learner, chatId)).toBe('before');
    });

    it('SEC-5 refuses a command that says two things', async () => {
      const learner = await contexts.newLearner();
      const before = await everything();
      const twice = unitOfWork.run(learner, async (tx) => {
        tx.record(new Noted(learner.userId));
        tx.record(new ProfileChanged(learner.userId));
      });
      await expect(twice).rejects.toThrow('one event');
      expect(await everything()).toEqual(before);
    });

    it('audit and outbox hold names of fields and ids, never their values', async () => {
      const learner = await contexts.newLearner();
      const chatId = await newChat(learner, 'canary-title');
      await execute(new PutProfile(learner, learner.userId, { firstName: 'canary-first', lastName: 'canary-last' }));
      await execute(new AppendMessage(learner, chatId, message('canary-message')));
      const kept = await rows<{ line: string }>(
        'select a::text as line from audit_events a union all select o::text from outbox o',
      );
      expect(kept.filter(({ line }) => line.includes('canary'))).toEqual([]);
      expect(kept.filter(({ line }) => line.includes('firstName'))).not.toEqual([]);
    });
  });

  describe('together with others', () => {
    it('TI-4 runs again after a deadlock, and both commands succeed', async () => {
      const learner = await contexts.newLearner();
      const [one, two] = [await newChat(learner), await newChat(learner)];
      let arrived = 0;
      let open!: () => void;
      const bothHoldTheirFirst = new Promise<void>((resolve) => (open = resolve));
      let attempts = 0;
      const crossing = (first: string, second: string) =>
        unitOfWork.run(learner, async (tx) => {
          attempts++;
          await tx.query(`update chats set title = title || '!' where user_id = $1 and id = $2`, [learner.userId, first]);
          if (++arrived === 2) open();
          await bothHoldTheirFirst;
          await tx.query(`update chats set title = title || '!' where user_id = $1 and id = $2`, [learner.userId, second]);
          tx.record(new Noted(learner.userId));
        });
      await Promise.all([crossing(one, two), crossing(two, one)]);
      expect(attempts).toBe(3);
      const chats = await rows<{ title: string }>('select title from chats where user_id = $1', [learner.userId]);
      expect(chats.map((chat) => chat.title)).toEqual(['Chat!!', 'Chat!!']);
      expect(
        await rows(`select from audit_events where action = 'test.noted' and learner_id = $1`, [learner.userId]),
      ).toHaveLength(2);
    });

    it('TI-4 runs again after a serialization failure, and loses no increment', async () => {
      const learner = await contexts.newLearner();
      const chatId = await newChat(learner, '0');
      let attempts = 0;
      const increment = () =>
        unitOfWork.run(learner, async (tx) => {
          attempts++;
          await tx.query('set transaction isolation level repeatable read');
          const [chat] = await tx.query<{ title: string }>('select title from chats where id = $1', [chatId]);
          await sleep(50); // all have read before the first writes
          await tx.query('update chats set title = $2 where id = $1', [chatId, String(Number(chat!.title) + 1)]);
          tx.record(new Noted(learner.userId));
        });
      await Promise.all([increment(), increment(), increment()]);
      expect(await rows('select title from chats where id = $1', [chatId])).toEqual([{ title: '3' }]);
      expect(attempts).toBeGreaterThan(3);
    });

    it('gives up after five attempts with an error that says: try again', async () => {
      const learner = await contexts.newLearner();
      let attempts = 0;
      const hopeless = unitOfWork.run(learner, async (tx) => {
        attempts++;
        await tx.query(`do $$ begin raise exception using errcode = 'deadlock_detected'; end $$`);
      });
      await expect(hopeless).rejects.toMatchObject({ kind: 'unavailable', code: 'DATABASE_TIMEOUT' });
      expect(attempts).toBe(5);
    });

    it('TI-4 of changes that expect the same version exactly one wins', async () => {
      const learner = await contexts.newLearner();
      const profile = await execute(new PutProfile(learner, learner.userId, { firstName: 'A', lastName: 'B' }));
      const etag = (version: number) => `${version}@${profile.value.createdAt}`;
      for (let round = 0, version = profile.value.version; round < 5; round++, version++) {
        const names = ['Ada', 'Ben', 'Cleo', 'Dan'].map((name) => `${name} ${round}`);
        const results = await Promise.allSettled(
          names.map((firstName) => execute(new ChangeProfile(learner, learner.userId, { firstName }, etag(version)))),
        );
        expect(codes(results)).toEqual(['VERSION_MISMATCH', 'VERSION_MISMATCH', 'VERSION_MISMATCH', 'ok']);
        const winner = results.find((result) => result.status === 'fulfilled')!.value as Written<{ firstName: string }>;
        const [row] = await rows<{ id: string; first_name_sealed: Buffer; version: number }>(
          'select id, first_name_sealed, version from profiles where user_id = $1',
          [learner.userId],
        );
        const cipher = await contexts.app.get(LearnerKeys).toOpen(learner.userId);
        const name = cipher.open('profiles.first_name', row!.id, row!.first_name_sealed);
        expect([name, row!.version]).toEqual([winner.value.firstName, version + 1]);
      }
    });

    it('TI-4 changes of different fields without an expected version are both kept', async () => {
      const learner = await contexts.newLearner();
      await execute(new PutProfile(learner, learner.userId, { firstName: 'A', lastName: 'B' }));
      const keys = Array.from({ length: 10 }, (_, index) => `key${index}`);
      await Promise.all(
        keys.map((key) => execute(new ChangeProfile(learner, learner.userId, { preferences: { [key]: key } }))),
      );
      const view = await contexts.queries.execute(new GetUser(learner, learner.userId, 'profile'));
      expect(Object.keys(view.value.preferences).sort()).toEqual(keys);
    });

    it('AI-3 TI-4 50 concurrent messages are all there, in a dense sequence', async () => {
      const learner = await contexts.newLearner();
      const chatId = await newChat(learner);
      const appended = await Promise.all(
        Array.from({ length: 50 }, (_, index) => execute(new AppendMessage(learner, chatId, message(`message ${index}`)))),
      );
      const dense = Array.from({ length: 50 }, (_, index) => index + 1);
      expect(appended.map((written) => written.value.seq).sort((a, b) => a - b)).toEqual(dense);
      const kept = await rows<{ seq: number; id: string; content_sealed: Buffer }>(
        'select seq, id, content_sealed from chat_messages where chat_id = $1 order by seq',
        [chatId],
      );
      expect(kept.map((row) => row.seq)).toEqual(dense);
      const cipher = await contexts.app.get(LearnerKeys).toOpen(learner.userId);
      const texts = kept.map((row) => cipher.open('chat_messages.content', row.id, row.content_sealed));
      expect(new Set(texts).size).toBe(50);
      for (const { value } of appended) expect(kept[value.seq - 1]!.id).toBe(value.id);
    });

    it('TI-4 two ADMINs who depose each other at the same time leave one ADMIN, 20 times', async () => {
      await execute(new BootstrapAdmin('admin@example.org', 'a very long password'));
      const [first] = await rows<{ id: string }>(`select id from users where role = 'ADMIN'`);
      const ada: Learner = { userId: first!.id, role: 'ADMIN' };
      const ben: Learner = { ...(await contexts.newLearner()), role: 'ADMIN' };
      await execute(new ChangeRole(ada, ben.userId, 'ADMIN'));
      for (let round = 0; round < 20; round++) {
        const results = await Promise.allSettled([
          execute(new ChangeRole(ada, ben.userId, 'STUDENT')),
          execute(new ChangeRole(ben, ada.userId, 'STUDENT')),
        ]);
        expect(codes(results)).toEqual(['LAST_ADMIN', 'ok']);
        const admins = await rows<{ id: string }>(`select id from users where role = 'ADMIN'`);
        expect(admins).toHaveLength(1);
        const [left, other] = admins[0]!.id === ada.userId ? [ada, ben] : [ben, ada];
        await execute(new ChangeRole(left, other.userId, 'ADMIN'));
      }
    });

    it('DC-2 10 commands with one idempotency key have one effect and one answer', async () => {
      const learner = await contexts.newLearner();
      const chatId = await newChat(learner);
      const actor = { ...learner, idempotency: idempotency('once') };
      const sameMessage = message();
      const written = await Promise.all(
        Array.from({ length: 10 }, () => execute(new AppendMessage(actor, chatId, sameMessage))),
      );
      expect(new Set(written.map((answer) => `${answer.json.toString()} ${answer.readToken} ${answer.etag}`)).size).toBe(1);
      expect(written.filter((answer) => answer.replayed)).toHaveLength(9);
      expect(await rows('select seq from chat_messages where chat_id = $1', [chatId])).toEqual([{ seq: 1 }]);
      expect(
        await rows(`select from audit_events where subject_id = $1 and action = 'chat.message-appended'`, [chatId]),
      ).toHaveLength(1);
    });

    it('frees the idempotency key of a command that failed, and refuses it for another request', async () => {
      const learner = await contexts.newLearner();
      const chatId = await newChat(learner);
      const actor = { ...learner, idempotency: idempotency('again') };
      await expect(execute(new AppendMessage(actor, randomUUID(), message()))).rejects.toMatchObject({ code: 'NOT_FOUND' });
      expect((await execute(new AppendMessage(actor, chatId, message()))).replayed).toBe(false);
      const other = { ...actor, idempotency: { key: 'again', fingerprint: Buffer.alloc(32) } };
      await expect(execute(new AppendMessage(other, chatId, message()))).rejects.toMatchObject({
        code: 'IDEMPOTENCY_KEY_REUSED',
      });
    });
  });

  describe('read tokens', () => {
    it('a read with the token of a write sees the write, even if nothing has been forgotten', async () => {
      const learner = await contexts.newLearner();
      const chatId = await newChat(learner, 'before');
      expect(await titleOf(learner, chatId)).toBe('before');
      // A topic that makes no view stale: the cache knows nothing of this write.
      const { readToken } = await unitOfWork.run(learner, async (tx) => {
        await tx.query(`update chats set title = 'after' where id = $1`, [chatId]);
        tx.record(new Noted(learner.userId));
      });
      expect(await titleOf(learner, chatId)).toBe('before');
      expect(await titleOf(learner, chatId, readToken)).toBe('after');
      expect(await titleOf(learner, chatId)).toBe('after'); // that read has filled the cache anew
    });

    it('a snapshot sees what was committed before it, not what was running then, whatever their order', async () => {
      const learner = await contexts.newLearner();
      const write = () =>
        unitOfWork.run(learner, async (tx) => tx.record(new MessageAppended(learner.userId, learner.userId, 1, false)));
      await withClient(contexts.database.adminUrl, async (running) => {
        await running.query('begin');
        const { rows: began } = await running.query<{ xid: string }>('select pg_current_xact_id()::text as xid');
        const committed = decodeReadToken((await write()).readToken).xid;
        const [during] = await rows<{ it: string }>('select pg_current_snapshot()::text as it');
        const later = decodeReadToken((await write()).readToken).xid;
        await running.query('commit');
        const [after] = await rows<{ it: string }>('select pg_current_snapshot()::text as it');
        const xid = BigInt(began[0]!.xid);
        expect(xid).toBeLessThan(committed);
        const seen = (snapshot: string) => [xid, committed, later].map((id) => snapshotSees(snapshot, id));
        expect(seen(during!.it)).toEqual([false, true, false]);
        expect(seen(after!.it)).toEqual([true, true, true]);
        const [server] = await rows<{ agrees: boolean[] }>(
          `select array(select pg_visible_in_snapshot(x::text::xid8, $2::pg_snapshot) from unnest($1::text[]) x) as agrees`,
          [[xid, committed, later].map(String), during!.it],
        );
        expect(server!.agrees).toEqual(seen(during!.it));
      });
    });

    it('each command answers the id of the transaction that wrote', async () => {
      const learner = await contexts.newLearner();
      const id = randomUUID();
      const { readToken } = await execute(new StartChat(learner, { id, title: 'x' }));
      const [audit] = await rows<{ xid: string }>('select xid::text as xid from audit_events where subject_id = $1', [id]);
      expect(decodeReadToken(readToken)).toEqual({ timeline: 1, xid: BigInt(audit!.xid) });
      const renamed = await execute(new ChangeChat(learner, id, { title: 'y' }));
      expect(decodeReadToken(renamed.readToken).xid).toBeGreaterThan(decodeReadToken(readToken).xid);
    });
  });
});
