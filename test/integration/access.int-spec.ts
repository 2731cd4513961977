import { createTestDatabase, type TestDatabase } from '../support/database';
import { withClient } from '../support/servers';
import { ourTables, personalTables } from './catalog';
import { insertLearner, insertRow } from './rows';

/** What a teacher sees with a grant of one scope. */
const BY_SCOPE: Record<string, string[]> = {
  progress: ['progress'],
  study: ['study_items', 'study_reviews'],
  documents: ['document_passages', 'documents'],
  chats: ['chat_messages', 'chats'],
};
const NOT_ALLOWED = '42501';
/** What a learner has written or asked: no role of the platform's own people sees it. */
const CONTENT = Object.values(BY_SCOPE).flat();

describe('What others than the learner see, by raw SQL', () => {
  let database: TestDatabase;
  let tables: string[];
  let all: string[];
  let ada: string;
  let ben: string;
  let teacher: string;
  beforeAll(async () => {
    database = await createTestDatabase();
    tables = await personalTables(database.adminUrl);
    all = await ourTables(database.adminUrl);
    [ada, ben, teacher] = await withClient(database.adminUrl, async (client) => {
      const made: string[] = [];
      for (let index = 0; index < 3; index++) made.push(await insertLearner(client, tables));
      await client.query('delete from grants');
      await client.query(`update users set role = 'TEACHER' where id = $1`, [made[2]]);
      await insertRow(client, 'audit_events', { learner_id: made[0], actor_role: 'STUDENT', action: 'chat.started' });
      return made as [string, string, string];
    });
  });
  afterAll(() => database.drop());

  interface Context {
    role: 'studently_app' | 'studently_teacher';
    userId: string;
    actorRole: string;
    learnerId?: string;
  }
  /** How many rows a statement hits in a context, or its SQLSTATE. */
  const outcome = ({ role, userId, actorRole, learnerId = '' }: Context, text: string) =>
    withClient(database.url, async (client) => {
      await client.query('begin');
      await client.query(`set local role ${role}`);
      await client.query(
        `select set_config('app.user_id', $1, true), set_config('app.role', $2, true), set_config('app.learner_id', $3, true)`,
        [userId, actorRole, learnerId],
      );
      try {
        return (await client.query(text)).rowCount;
      } catch (error) {
        return (error as { code: string }).code;
      }
    });
  const asTeacher = (learnerId: string, text: string, actorRole = 'TEACHER') =>
    outcome({ role: 'studently_teacher', userId: teacher, actorRole, learnerId }, text);
  const grant = (learner: string, scope: string) =>
    withClient(database.adminUrl, (client) =>
      client.query('insert into grants (user_id, teacher_id, scopes) values ($1, $2, $3)', [learner, teacher, [scope]]),
    );
  afterEach(() => withClient(database.adminUrl, (client) => client.query('delete from grants')));

  it.each(Object.keys(BY_SCOPE))(
    'SEC-2 a teacher with the scope %s sees of one learner what it names, without any WHERE',
    async (scope) => {
      await grant(ada, scope);
      for (const table of CONTENT) {
        const seen = await asTeacher(ada, `select from ${table}`);
        expect({ table, seen }).toEqual({ table, seen: BY_SCOPE[scope]!.includes(table) ? 1 : 0 });
        expect({ table, ofBen: await asTeacher(ben, `select from ${table}`) }).toEqual({ table, ofBen: 0 });
        expect({ table, ofNobody: await asTeacher('', `select from ${table}`) }).toEqual({ table, ofNobody: 0 });
        const asStudent = await asTeacher(ada, `select from ${table}`, 'STUDENT');
        expect({ table, asStudent }).toEqual({ table, asStudent: 0 });
      }
      expect(await asTeacher(ada, 'select user_id, preferences from profiles')).toBe(1);
      expect(await asTeacher(ben, 'select user_id, preferences from profiles')).toBe(0);
      expect(await asTeacher(ada, 'select first_name from profiles')).toBe(NOT_ALLOWED);
    },
  );

  it('SEC-2 a teacher without a grant, or with one that was withdrawn, sees nothing', async () => {
    await grant(ada, 'chats');
    expect(await asTeacher(ada, 'select from chats')).toBe(1);
    await withClient(database.adminUrl, (client) => client.query('delete from grants'));
    for (const table of CONTENT)
      expect({ table, seen: await asTeacher(ada, `select from ${table}`) }).toEqual({ table, seen: 0 });
  });

  it('SEC-2 a teacher’s role reads nothing else, and writes nothing', async () => {
    await grant(ada, 'study');
    const readable = [...CONTENT, 'grants', 'profiles'];
    for (const table of all) {
      if (!readable.includes(table))
        expect([table, await asTeacher(ada, `select from ${table}`)]).toEqual([table, NOT_ALLOWED]);
      expect([table, await asTeacher(ada, `delete from ${table}`)]).toEqual([table, NOT_ALLOWED]);
      expect([table, await asTeacher(ada, `insert into ${table} default values`)]).toEqual([table, NOT_ALLOWED]);
    }
    expect(await asTeacher(ada, `update grants set scopes = '{chats}'`)).toBe(NOT_ALLOWED);
    expect(await asTeacher(ada, `update study_items set tags = '{}'`)).toBe(NOT_ALLOWED);
  });

  it.each(['TEACHER', 'ADMIN', 'OPS', 'DPO'])(
    'SEC-2 %s sees no content of anybody as the application’s role',
    async (actorRole) => {
      await grant(ada, 'study');
      for (const table of CONTENT) {
        const seen = await outcome(
          { role: 'studently_app', userId: '00000000-0000-0000-0000-000000000000', actorRole, learnerId: ada },
          `select from ${table}`,
        );
        expect({ table, seen }).toEqual({ table, seen: 0 });
      }
    },
  );

  it('SEC-2 the audit log is read by a DPO and by nobody else, and changed by none', async () => {
    for (const actorRole of ['STUDENT', 'TEACHER', 'ADMIN', 'OPS', 'DPO', 'SERVICE']) {
      const context = { role: 'studently_app' as const, userId: ben, actorRole };
      const seen = await outcome(context, 'select from audit_events');
      expect({ actorRole, seen: Number(seen) > 0 }).toEqual({ actorRole, seen: actorRole === 'DPO' });
      for (const text of [`update audit_events set action = 'a.b'`, 'delete from audit_events']) {
        expect({ actorRole, text, outcome: await outcome(context, text) }).toEqual({ actorRole, text, outcome: NOT_ALLOWED });
      }
    }
  });

  it('SEC-2 OPS sees nobody’s account, and only an ADMIN the service accounts', async () => {
    const accounts = ['users', 'user_emails', 'profiles', 'subscriptions', 'sessions'];
    const nobody = '00000000-0000-0000-0000-000000000000';
    for (const actorRole of ['STUDENT', 'TEACHER', 'OPS', 'DPO', 'SERVICE']) {
      for (const table of [...accounts, 'service_accounts', 'service_keys']) {
        const seen = await outcome({ role: 'studently_app', userId: nobody, actorRole }, `select from ${table}`);
        expect({ actorRole, table, seen }).toEqual({ actorRole, table, seen: 0 });
      }
    }
    for (const table of accounts) {
      const seen = await outcome({ role: 'studently_app', userId: nobody, actorRole: 'ADMIN' }, `select from ${table}`);
      expect({ table, seen }).toEqual({ table, seen: 3 });
    }
  });
});
