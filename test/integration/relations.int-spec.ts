import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from '@nestjs/cqrs';
import { AddDocument, AppendMessage, readNewDocument, StartChat } from '@studently/ai-interactions';
import {
  AddServiceKey,
  BootstrapAdmin,
  CreateServiceAccount,
  DeleteUser,
  GiveGrant,
  OpenSession,
  PutProfile,
  PutSubscription,
  RegisterUser,
} from '@studently/identity';
import type { Learner } from '@studently/platform';
import { AddStudyItem, ImportStudyItems, RecordProgress, ReviewItem } from '@studently/study';
import { until } from '../e2e/support';
import { TestContexts } from '../support/contexts';
import { sql } from '../support/database';
import { withClient } from '../support/servers';
import { personalTables } from './catalog';
import { insertLearner } from './rows';

interface ForeignKey {
  name: string;
  child: string;
  parent: string;
  rule: string;
  childKey: string[];
  parentKey: string[];
}

/** Every foreign key of the catalog, with its columns in the order of the key. */
const FOREIGN_KEYS = `
  select conname as name, conrelid::regclass::text as child, confrelid::regclass::text as parent, confdeltype as rule,
    array(select attname::text from unnest(conkey) with ordinality k(num, n) join pg_attribute on attrelid = conrelid and attnum = num order by n) as "childKey",
    array(select attname::text from unnest(confkey) with ordinality k(num, n) join pg_attribute on attrelid = confrelid and attnum = num order by n) as "parentKey"
  from pg_constraint where contype = 'f' and connamespace = 'public'::regnamespace order by 1`;

describe('Relations', () => {
  let contexts: TestContexts;
  const rows = <Row extends object>(text: string, values: unknown[] = []) => sql<Row>(contexts.database.adminUrl, text, values);
  beforeAll(async () => {
    contexts = await TestContexts.start();
    jest.spyOn(contexts.localModel(), 'embedPassages').mockResolvedValue([]); // it knows no word
  });
  afterAll(() => contexts?.stop());

  it('TI-1 each foreign key joins every child to its parent, and the child goes with the parent alone', async () => {
    const keys = await rows<ForeignKey>(FOREIGN_KEYS);
    expect(keys.map((key) => `${key.child} -> ${key.parent} ${key.rule}`).sort()).toEqual([
      'chat_messages -> chats c',
      'chat_turns -> chats c',
      'chats -> users c',
      'document_passages -> documents c',
      'documents -> document_types a',
      'documents -> users c',
      'former_vectors -> documents c',
      'former_vectors -> vector_spaces c',
      'grants -> users c',
      'idempotency_keys -> users c',
      'import_batches -> users c',
      'passage_vectors -> document_passages c',
      'passage_vectors -> vector_spaces a',
      'profiles -> users c',
      'progress -> users c',
      'published_documents -> document_types a',
      'published_documents -> documents c',
      'published_documents -> vector_spaces a',
      'published_passages -> published_documents c',
      'published_passages -> vector_spaces a',
      'service_keys -> service_accounts c',
      'sessions -> users c',
      'study_items -> study_item_types a',
      'study_items -> users c',
      'study_reviews -> study_items c',
      'subscriptions -> users c',
      'turn_vectors -> chat_turns c',
      'turn_vectors -> vector_spaces a',
      'user_emails -> users c',
    ]);
    const tables = await personalTables(contexts.database.adminUrl);
    await withClient(contexts.database.adminUrl, async (client) => {
      for (const { child, parent, childKey, parentKey } of keys.filter(
        (key) => key.rule === 'c' && tables.includes(key.child) && key.parent !== 'vector_spaces', // which is nobody's
      )) {
        await client.query('begin');
        const ada = await insertLearner(client, tables);
        const ben = await insertLearner(client, tables);
        const owner = parent === 'users' ? 'id' : 'user_id';
        const on = childKey.map((column, index) => `c.${column} = p.${parentKey[index]}`).join(' and ');
        const joined = async () =>
          (
            await client.query<{ owner: string }>(
              `select c.user_id as owner from ${child} c join ${parent} p on ${on} order by 1`,
            )
          ).rows;
        expect([child, await joined()]).toEqual([child, [ada, ben].sort().map((id) => ({ owner: id }))]);
        await client.query(`delete from ${parent} where ${owner} = $1`, [ada]);
        const left = await client.query(`select user_id as owner from ${child}`);
        expect([child, left.rows]).toEqual([child, [{ owner: ben }]]);
        await client.query('rollback');
      }
    });
  });

  it('TI-1 a type of study items stays as long as there is an item of it', async () => {
    await rows(`insert into study_item_types (type, content_schema) values ('riddle', '{}')`);
    const ada = await contexts.newLearner();
    const [item] = await rows<{ id: string }>(
      `insert into study_items (user_id, type, content) values ($1, 'riddle', '{}') returning id`,
      [ada.userId],
    );
    await expect(rows(`delete from study_item_types where type = 'riddle'`)).rejects.toMatchObject({ code: '23503' });
    await rows('delete from study_items where id = $1', [item!.id]);
    await rows(`delete from study_item_types where type = 'riddle'`);
  });

  it("TI-1 a review or an entry of progress cannot belong to another learner's item, or to nobody", async () => {
    const [ada, ben] = [await contexts.newLearner(), await contexts.newLearner()];
    const itemId = randomUUID();
    await contexts.commands.execute(
      new AddStudyItem(ada, { id: itemId, type: 'flashcard', content: { front: 'a', back: 'b' } }),
    );
    await expect(
      rows(
        `insert into study_reviews (user_id, id, item_id, seq, client_review_id, rating, reviewed_at, answer)
         values ($1, uuid_generate_v4(), $2, 1, 'x', 3, now(), '{}')`,
        [ben.userId, itemId],
      ),
    ).rejects.toMatchObject({ code: '23503', constraint: 'study_reviews_item' });
    const nobody: Learner = { userId: randomUUID(), role: 'STUDENT' };
    for (const command of [
      new RecordProgress(nobody, { id: randomUUID(), category: 'algebra', score: 1 }),
      new AddStudyItem(nobody, { id: randomUUID(), type: 'flashcard', content: { front: 'a', back: 'b' } }),
    ]) {
      await expect(contexts.commands.execute<unknown>(command)).rejects.toMatchObject({ code: 'USER_NOT_FOUND' });
    }
  });

  it("TI-1 a message cannot belong to another learner's chat", async () => {
    const [ada, ben] = [await contexts.newLearner(), await contexts.newLearner()];
    const chatId = randomUUID();
    await contexts.commands.execute(new StartChat(ada, { id: chatId, title: 'x' }));
    await expect(
      rows(`insert into chat_messages (user_id, chat_id, seq, role, content) values ($1, $2, 1, 'user', 'x')`, [
        ben.userId,
        chatId,
      ]),
    ).rejects.toMatchObject({ code: '23503', constraint: 'chat_messages_chat' });
  });

  it('TI-2 ID-9 ID-13 deleting a user takes everything along, and leaves the audit log and the others', async () => {
    const password = 'a very long password';
    const [id, other] = [randomUUID(), await contexts.newLearner()];
    const ada: Learner = { userId: id, role: 'STUDENT' };
    const execute = <T>(command: Command<T>) => contexts.commands.execute(command);
    await execute(new RegisterUser({}, { id, email: `${id}@example.org`, password }));
    await execute(new BootstrapAdmin('admin@example.org', password));
    const [admin] = await rows<{ id: string }>(`select id from users where role = 'ADMIN'`);
    await execute(new PutProfile(ada, id, { firstName: 'Ada', lastName: 'Lovelace' }));
    await execute(
      new PutSubscription({ userId: admin!.id, role: 'ADMIN' }, id, {
        plan: 'basic',
        status: 'active',
        currentPeriodStart: new Date('2026-01-01'),
        currentPeriodEnd: new Date('2026-02-01'),
        cancelAtPeriodEnd: false,
      }),
    );
    for (let n = 0; n < 2; n++) await execute(new OpenSession({}, `${id}@example.org`, password, { ip: 'x', userAgent: 'x' }));
    for (const learner of [ada, other]) {
      for (let n = 0; n < 3; n++) {
        const chatId = randomUUID();
        const actor = { ...learner, idempotency: { key: chatId, fingerprint: Buffer.alloc(32) } };
        await execute(
          new StartChat(actor, { id: chatId, title: 'x', messages: [{ id: randomUUID(), role: 'user', content: 'x' }] }),
        );
        await execute(new AppendMessage(learner, chatId, { id: randomUUID(), role: 'assistant', content: 'y' }));
        const document = { type: 'text', content: 'x', embedding: Array<number>(1536).fill(1) };
        await execute(new AddDocument(learner, readNewDocument(document)));
        const item = { id: randomUUID(), type: 'flashcard', content: { front: 'a', back: 'b' } };
        await execute(new AddStudyItem(learner, item));
        await execute(new ReviewItem(learner, item.id, { clientReviewId: 'x', rating: 3 }));
        await execute(new RecordProgress(learner, { id: randomUUID(), category: 'algebra', score: n }));
      }
    }

    await rows(`insert into grants (user_id, teacher_id, scopes) select id, $1, '{study}' from users where id <> $1`, [
      admin!.id,
    ]);
    const line = { line: 1, bytes: 1, value: { type: 'note', content: { markdown: 'x' } } };
    for (const learner of [ada, other]) await execute(new ImportStudyItems(learner, [line], 'batch'));

    const count = async (learnerId: string) => {
      const tables = await personalTables(contexts.database.adminUrl);
      const counts = tables.map(
        (table) => `(select count(*)::int from ${table} where ${table === 'users' ? 'id' : 'user_id'} = $1) as ${table}`,
      );
      return (await rows<Record<string, number>>(`select ${counts.join(', ')}`, [learnerId]))[0]!;
    };
    await until(async () => (await count(id)).chat_turns === 6 && (await count(other.userId)).chat_turns === 6, 60_000);
    const full = {
      users: 1,
      user_emails: 1,
      profiles: 1,
      subscriptions: 1,
      sessions: 2,
      idempotency_keys: 3,
      chats: 3,
      chat_messages: 6,
      chat_turns: 6,
      turn_vectors: 0,
      study_items: 4,
      study_reviews: 3,
      progress: 3,
      import_batches: 1,
      documents: 3,
      document_passages: 3,
      passage_vectors: 3,
      former_vectors: 0,
      published_documents: 0,
      published_passages: 0,
      grants: 1,
    };
    expect(await count(id)).toEqual(full);
    const others = await count(other.userId);
    const audited = async () =>
      (await rows<{ action: string }>('select action from audit_events where learner_id = $1 order by id', [id])).map(
        (row) => row.action,
      );
    const auditBefore = await audited();

    await execute(new DeleteUser(ada, id));

    expect(await count(id)).toEqual(Object.fromEntries(Object.keys(full).map((table) => [table, 0])));
    expect(await count(other.userId)).toEqual(others);
    expect(await audited()).toEqual([...auditBefore, 'user.deleted']);
    // registered; profile, subscription; sessions; chats and messages; documents; items, reviews, progress; the import
    expect(auditBefore).toHaveLength(1 + 2 + 2 + 6 + 3 + 9 + 1);
  });

  it('TI-2 a user leaves with whatever is theirs, also where that takes longer than a statement may', async () => {
    const admin: Learner = { userId: randomUUID(), role: 'ADMIN' };
    const [ada, ben, bystander] = [await contexts.newLearner(), await contexts.newLearner(), await contexts.newLearner()];
    for (const { userId } of [ada, ben, bystander]) {
      const many = userId === bystander.userId ? 5 : 4500;
      await rows(
        `with item as (
           insert into study_items (user_id, id, type, content) values ($1, $2, 'flashcard', '{}') returning *
         )
         insert into study_reviews (user_id, id, item_id, seq, client_review_id, rating, reviewed_at, answer)
         select user_id, uuid_generate_v4(), id, seq, seq::text, 3, now(), '{}' from item, generate_series(1, $3) seq`,
        [userId, randomUUID(), many],
      );
    }
    // A disk on which the cascade, which is one statement, would take longer than 4 s.
    await rows(
      `create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(0.001); return old; end $$`,
    );
    await rows('create trigger slow before delete on study_reviews for each row execute function slow()');
    try {
      await contexts.commands.execute(new DeleteUser(ada, ada.userId));
      await contexts.commands.execute(new DeleteUser(admin, ben.userId));
    } finally {
      await rows('drop function slow cascade');
    }
    expect(
      await rows('select user_id, count(*)::int from study_reviews where user_id = any($1) group by 1', [
        [ada, ben, bystander].map(({ userId }) => userId),
      ]),
    ).toEqual([{ user_id: bystander.userId, count: 5 }]);
  }, 60_000);

  it('TI-2 nobody else removes what a user owns', async () => {
    const [ada, ben] = [await contexts.newLearner(), await contexts.newLearner()];
    const remove = (actorRole: string) =>
      sql(contexts.database.url, 'select * from remove_owned($1, 10, null, null)', [ada.userId], {
        ...{ role: 'studently_app', userId: ben.userId, actorRole },
      });
    for (const role of ['STUDENT', 'TEACHER', 'OPS', 'DPO', 'SERVICE', ''])
      await expect(remove(role)).rejects.toMatchObject({ code: '42501' });
    expect(await remove('ADMIN')).toEqual([{ reached: null, last: null }]);
  });

  it('TI-4 a teacher who is just being deleted is granted nothing any more', async () => {
    const [ada, teacher] = [await contexts.newLearner(), await contexts.newLearner()];
    await rows(`update users set role = 'TEACHER' where id = $1`, [teacher.userId]);
    const grant = new GiveGrant(ada, { id: randomUUID(), teacherId: teacher.userId, scopes: ['chats'] });
    await withClient(contexts.database.adminUrl, async (client) => {
      await client.query('begin');
      await client.query('delete from users where id = $1', [teacher.userId]);
      const given = contexts.commands.execute(grant).catch((error: { code: string }) => error.code);
      await Promise.race([given, sleep(500)]);
      await client.query('commit');
      expect(await given).toBe('NOT_A_TEACHER');
    });
    expect(await rows('select from grants where teacher_id = $1', [teacher.userId])).toEqual([]);
  });

  it('a key that expires at once by the clock of the database is refused, whatever ours says', async () => {
    const admin: Learner = { userId: (await contexts.newLearner()).userId, role: 'ADMIN' };
    const account = await contexts.commands.execute(
      new CreateServiceAccount(admin, { name: randomUUID(), scopes: ['chats:read'] }),
    );
    const now = Date.now();
    const late = jest.spyOn(Date, 'now').mockReturnValue(now - 60_000);
    const added = contexts.commands.execute(new AddServiceKey(admin, account.value.id, new Date(now - 30_000)));
    await expect(added).rejects.toMatchObject({ code: 'VALIDATION_FAILED', details: { faults: [{ path: 'expiresAt' }] } });
    late.mockRestore();
  });

  it('AI-3 ai_chats_seed shows a chat as it was asked for: messages as one jsonb[] in order, its own only; what is sealed stays so', async () => {
    const [ada, ben] = [await contexts.newLearner(), await contexts.newLearner()];
    for (const learner of [ada, ben]) {
      const chatId = randomUUID();
      await contexts.commands.execute(new StartChat(learner, { id: chatId, title: 'Photosynthesis' }));
      await Promise.all(
        Array.from({ length: 12 }, (_, n) =>
          contexts.commands.execute(
            new AppendMessage(learner, chatId, { id: randomUUID(), role: 'user', content: `message ${n}`, metadata: { n } }),
          ),
        ),
      );
    }
    type Seed = {
      user_id: string;
      title: string;
      type: string;
      messages: { seq: number; metadata: { n: number } }[];
    };
    const seen = await sql<Seed>(contexts.database.url, 'select *, pg_typeof(messages)::text as type from ai_chats_seed', [], {
      role: 'studently_app',
      userId: ada.userId,
    });
    expect(seen).toMatchObject([{ user_id: ada.userId, title: 'Photosynthesis', type: 'jsonb[]' }]);
    const { messages } = seen[0]!;
    expect(messages.map((message) => message.seq)).toEqual(Array.from({ length: 12 }, (_, n) => n + 1));
    for (const message of messages) {
      expect(message).toMatchObject({
        role: 'user',
        content: null,
        sealed: true,
        createdAt: expect.stringMatching(/Z$/),
      });
    }
  });

  it('AI-6 a document of a user who does not exist is refused as USER_NOT_FOUND', async () => {
    const nobody: Learner = { userId: randomUUID(), role: 'STUDENT' };
    const document = readNewDocument({ type: 'text', content: 'x' });
    await expect(contexts.commands.execute(new AddDocument(nobody, document))).rejects.toMatchObject({
      code: 'USER_NOT_FOUND',
    });
  });

  it('AI-1 a chat of a user who does not exist is refused as USER_NOT_FOUND', async () => {
    const nobody: Learner = { userId: randomUUID(), role: 'STUDENT' };
    await expect(contexts.commands.execute(new StartChat(nobody, { id: randomUUID(), title: 'x' }))).rejects.toMatchObject({
      kind: 'not-found',
      code: 'USER_NOT_FOUND',
    });
  });

  it('ID-2 of two registrations of one address, in any spelling, one is refused', async () => {
    const name = randomUUID();
    const emails = [`${name}@x.io`, `${name.toUpperCase()}@X.io`];
    const results = await Promise.allSettled(
      emails.map((email) =>
        contexts.commands.execute(new RegisterUser({}, { id: randomUUID(), email, password: 'a very long password' })),
      ),
    );
    expect(results.map((result) => result.status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(results.find((result) => result.status === 'rejected')).toMatchObject({ reason: { code: 'EMAIL_TAKEN' } });
  });
});
