import { randomUUID } from 'node:crypto';
import type { Client, DatabaseError } from 'pg';
import { createTestDatabase, sql, type TestDatabase } from '../support/database';
import { withClient } from '../support/servers';
import { ourTables } from './catalog';
import { FILLING_ORDER, insertLearner, insertRow, validRow, type Row } from './rows';

const long = (length: number) => 'x'.repeat(length);
/** An instant, a second after it, and the like. */
const at = (time: string) => `2026-01-01T${time}Z`;

/** What a study item has of its first review. */
const reviewed = { last_reviewed: at('12:00:00'), next_review: at('12:01:00'), state: 'learning', reps: 1 };

/** Stands for the id of the row's own learner. */
const OWN_ID = 'the own id';

const VECTOR = `[${Array(1536).fill(1).join(',')}]`;

/** What breaks each CHECK: changes to an otherwise valid row. */
const CHECKS: Record<string, Row[]> = {
  audit_batches_complete: [{ events: 2 }, { ids: '{1,2}' }, { leaves: '\\x' }],
  audit_events_action_check: [{ action: 'started' }, { action: 'Chat.Started' }, { action: 'chat.started.twice' }],
  audit_events_actor_role_check: [{ actor_role: 'ROOT' }, { actor_role: 'student' }],
  audit_events_changes_check: [{ changes: '[]' }, { changes: '"x"' }],
  chat_messages_content_once: [{ content: null }, { content_sealed: '\\xab' }],
  chat_messages_metadata_check: [{ metadata: '[]' }, { metadata: '"text"' }, { metadata: 'null' }],
  chat_messages_parent: [{ parent_seq: 0 }, { parent_seq: 1 }, { parent_seq: 2 }],
  chat_messages_role_check: [{ role: 'robot' }],
  chat_messages_seq_check: [{ seq: 0 }, { seq: -1 }],
  chat_turns_seq_check: [{ seq: 0 }],
  chats_context_has_model: [{ context_model: 'm' }, { context_vector: VECTOR }],
  chats_message_count_check: [{ message_count: -1 }],
  chats_no_more_embedded: [{ embedded_count: -1 }, { embedded_count: 2 }],
  chats_title_check: [{ title: '' }, { title: long(201) }],
  document_passages_content_key_check: [{ content_key: '\\xab' }],
  document_passages_content_once: [{ content: null }, { content_sealed: '\\xab', lexemes_sealed: '' }],
  document_passages_ends_at_check: [{ ends_at: 0 }],
  document_passages_lexemes_sealed: [{ content: null, content_sealed: '\\xab' }, { lexemes_sealed: '' }],
  document_passages_ordinal_check: [{ ordinal: 0 }],
  document_passages_starts_at_check: [{ starts_at: -1 }],
  document_types_type_check: [{ type: '' }, { type: 'Essay' }, { type: long(33) }],
  documents_content_check: [{ content: '' }, { content: long(2 ** 20 + 1) }, { content: 'ß'.repeat(2 ** 19 + 1) }],
  documents_content_once: [{ content: null }, { content_sealed: '\\xab' }],
  documents_embedded: [{ status: 'ready' }, { embedding: VECTOR, embedding_model: 'm' }],
  documents_embedding_has_model: [{ embedding_model: 'm' }, { embedding: VECTOR, status: 'ready' }],
  documents_failed: [{ status: 'failed' }, { failure: 'EMBEDDING_FAILED' }],
  documents_metadata_check: [{ metadata: '[]' }, { metadata: '"text"' }, { metadata: 'null' }],
  documents_status_check: [{ status: 'done' }],
  documents_title_check: [{ title: '' }, { title: long(301) }],
  former_vectors_content_key_check: [{ content_key: '\\xab' }],
  grants_scopes_check: [{ scopes: '{}' }, { scopes: '{password}' }, { scopes: '{study,NULL}' }],
  grants_to_somebody_else: [{ teacher_id: OWN_ID }],
  idempotency_keys_answer_once: [{ answer_sealed: '\\xab' }],
  idempotency_keys_fingerprint_check: [{ fingerprint: '\\xab' }],
  jobs_attempts_check: [{ attempts: -1 }],
  jobs_dead_says_why: [{ dead_at: '2026-01-01T00:00:00Z' }],
  jobs_failure_check: [{ failure: '' }, { failure: 'a message, which may be personal' }],
  jobs_job_check: [{ job: '' }, { job: 'Embed' }, { job: 'embed-' }],
  jobs_subject_id_check: [{ subject_id: '' }, { subject_id: long(101) }],
  jobs_taken_check: [{ taken: -1 }],
  master_keys_check_value_check: [{ check_value: '\\xab' }],
  master_keys_id_check: [{ id: '' }, { id: long(129) }],
  outbox_attempts_check: [{ attempts: -1 }],
  outbox_payload_check: [{ payload: '[]' }, { payload: '1' }],
  outbox_topic_check: [{ topic: 'started' }, { topic: 'chat.' }],
  profiles_first_name_check: [{ first_name: '' }, { first_name: long(101) }],
  profiles_first_name_once: [{ first_name: null }, { first_name_sealed: '\\xab' }],
  profiles_last_name_check: [{ last_name: '' }, { last_name: long(101) }],
  profiles_last_name_once: [{ last_name: null }, { last_name_sealed: '\\xab' }],
  profiles_preferences_check: [{ preferences: '[]' }, { preferences: '"dark"' }, { preferences: 'null' }],
  progress_category_check: [{ category: '' }, { category: long(65) }],
  progress_metadata_check: [{ metadata: '[]' }, { metadata: '"text"' }, { metadata: 'null' }],
  progress_score_check: [
    { score: -0.001 },
    { score: 100.001 },
    { score: 'NaN' },
    { score: 'Infinity' },
    { score: '-Infinity' },
  ],
  published_documents_metadata_check: [{ metadata: '[]' }, { metadata: '"text"' }, { metadata: 'null' }],
  published_documents_title_check: [{ title: '' }, { title: long(301) }],
  published_documents_vectors_check: [{ vectors: 0 }],
  published_passages_embedding_has_space: [{ space: null }, { embedding: null }],
  published_passages_ends_at_check: [{ ends_at: 0 }],
  published_passages_ordinal_check: [{ ordinal: 0 }],
  published_passages_starts_at_check: [{ starts_at: -1 }],
  service_accounts_name_check: [{ name: '' }, { name: long(101) }],
  service_accounts_scopes_check: [{ scopes: '{}' }],
  service_keys_lifetime: [{ created_at: at('12:00:00'), expires_at: at('12:00:00') }],
  service_keys_secret_hash_check: [{ secret_hash: '\\xab' }],
  sessions_auth_level_check: [{ auth_level: 0 }],
  sessions_lifetime: [{ created_at: at('12:00:00'), expires_at: at('12:00:00') }],
  sessions_secret_hash_check: [{ secret_hash: '\\xab' }, { secret_hash: `\\x${'ab'.repeat(33)}` }],
  study_item_types_content_schema_check: [{ content_schema: '[]' }, { content_schema: 'true' }],
  study_item_types_type_check: [{ type: '' }, { type: 'Essay' }, { type: '1st' }, { type: long(33) }],
  study_items_content_check: [{ content: '[]' }, { content: '"text"' }, { content: 'null' }],
  study_items_difficulty_check: [{ difficulty: -0.1 }, { difficulty: 10.1 }, { difficulty: 'NaN' }],
  study_items_lapses_check: [{ lapses: -1 }],
  study_items_learning_step_check: [{ learning_step: -1 }],
  study_items_order: [{ ...reviewed, last_reviewed: at('12:00:01'), next_review: at('12:00:00') }],
  study_items_progress_check: [{ progress: -0.001 }, { progress: 1.001 }, { progress: 'NaN' }, { progress: 'Infinity' }],
  study_items_reps_check: [{ reps: -1 }],
  study_items_review_count_check: [{ review_count: -1 }],
  study_items_reviewed: [
    { ...reviewed, last_reviewed: null },
    { ...reviewed, state: 'new' },
    { ...reviewed, reps: 0 },
  ],
  study_items_scheduled_days_check: [{ scheduled_days: -1 }],
  study_items_stability_check: [{ stability: -0.1 }, { stability: 'NaN' }, { stability: 'Infinity' }],
  study_items_state_check: [{ ...reviewed, state: 'forgotten' }],
  study_items_tags_check: [{ tags: Array(51).fill('x') }],
  study_reviews_answer_check: [{ answer: '[]' }, { answer: 'null' }],
  study_reviews_client_review_id_check: [{ client_review_id: '' }, { client_review_id: long(101) }],
  study_reviews_duration_ms_check: [{ duration_ms: -1 }, { duration_ms: 86_400_001 }],
  study_reviews_rating_check: [{ rating: 0 }, { rating: 5 }],
  study_reviews_seq_check: [{ seq: 0 }, { seq: -1 }],
  subscriptions_external_ref_check: [{ external_ref: '' }, { external_ref: long(256) }],
  subscriptions_period: [
    { current_period_end: at('00:00:00'), current_period_start: at('00:00:00') },
    { current_period_end: at('00:00:00'), current_period_start: at('00:00:01') },
  ],
  subscriptions_plan_check: [{ plan: '' }, { plan: long(65) }],
  subscriptions_status_check: [{ status: 'paid' }],
  user_emails_email_check: [{ email: 'Ada@example.org' }],
  users_email_check: [{ email: 'ab' }, { email: long(255) }],
  users_password_hash_check: [{ password_hash: 'a password in clear' }, { password_hash: '$2b$10$bcrypt' }],
  users_role_check: [{ role: 'ROOT' }, { role: 'admin' }],
  users_session_epoch_check: [{ session_epoch: 0 }],
  vector_spaces_model_check: [{ model: '' }, { model: long(201) }],
  vector_spaces_space_check: [{ space: -1 }],
  vector_spaces_state_check: [{ state: 'new' }],
  vector_spaces_url_check: [{ url: 'ftp://x' }, { url: 'x' }],
};

/** What a second row shares with the first to break each key or UNIQUE; everything else differs. */
const UNIQUES: Record<string, string[]> = {
  audit_batches_pkey: ['seq'],
  audit_events_pkey: ['occurred_at', 'id'],
  audit_log_pkey: ['id'],
  chat_messages_dense: ['user_id', 'chat_id', 'seq'],
  chat_messages_pkey: ['user_id', 'id'],
  chat_turns_dense: ['user_id', 'chat_id', 'seq'],
  chat_turns_pkey: ['user_id', 'id'],
  chats_pkey: ['user_id', 'id'],
  document_passages_ordinal: ['user_id', 'document_id', 'ordinal'],
  document_passages_pkey: ['user_id', 'id'],
  document_types_pkey: ['type'],
  documents_pkey: ['user_id', 'id'],
  former_vectors_one: ['user_id', 'document_id', 'space', 'content_key'],
  former_vectors_pkey: ['user_id', 'id'],
  grants_one_per_teacher: ['user_id', 'teacher_id'],
  grants_pkey: ['user_id', 'id'],
  idempotency_keys_pkey: ['user_id', 'id'],
  import_batches_pkey: ['user_id', 'id'],
  jobs_pkey: ['id'],
  master_keys_pkey: ['id'],
  outbox_pkey: ['id'],
  passage_vectors_one: ['user_id', 'passage_id', 'space'],
  passage_vectors_pkey: ['user_id', 'id'],
  profiles_one_per_user: ['user_id'],
  profiles_pkey: ['user_id', 'id'],
  progress_pkey: ['user_id', 'id'],
  published_documents_pkey: ['user_id', 'id'],
  published_passages_ordinal: ['user_id', 'document_id', 'ordinal'],
  published_passages_pkey: ['user_id', 'id'],
  revoked_sessions_pkey: ['id'],
  service_accounts_one_per_name: ['name'],
  service_accounts_pkey: ['id'],
  service_keys_pkey: ['account_id', 'id'],
  sessions_pkey: ['user_id', 'id'],
  study_item_types_pkey: ['type'],
  study_items_pkey: ['user_id', 'id'],
  study_reviews_dense: ['user_id', 'item_id', 'seq'],
  study_reviews_pkey: ['user_id', 'id'],
  subscriptions_one_per_user: ['user_id'],
  subscriptions_pkey: ['user_id', 'id'],
  turn_vectors_one: ['user_id', 'turn_id', 'space'],
  turn_vectors_pkey: ['user_id', 'id'],
  user_emails_one_per_user: ['user_id'],
  user_emails_pkey: ['email'],
  users_pkey: ['id'],
  vector_spaces_model: ['model'],
  vector_spaces_pkey: ['space'],
};

/** In a partitioned table it is the partition's own constraint that refuses. */
const OF_A_PARTITION: Record<string, string> = { audit_events_pkey: 'audit_events_before_pkey' };

/** Which reference goes nowhere to break each foreign key. */
const FOREIGN_KEYS: Record<string, string> = {
  chat_messages_chat: 'chat_id',
  chat_turns_chat: 'chat_id',
  chats_user_id_fkey: 'user_id',
  document_passages_document: 'document_id',
  documents_type: 'type',
  documents_user_id_fkey: 'user_id',
  former_vectors_document: 'document_id',
  former_vectors_space: 'space',
  grants_user_id_fkey: 'user_id',
  idempotency_keys_user_id_fkey: 'user_id',
  import_batches_user_id_fkey: 'user_id',
  passage_vectors_passage: 'passage_id',
  passage_vectors_space: 'space',
  profiles_user_id_fkey: 'user_id',
  progress_user_id_fkey: 'user_id',
  published_documents_document: 'id',
  published_documents_space: 'space',
  published_documents_type: 'type',
  published_passages_document: 'document_id',
  published_passages_space: 'space',
  service_keys_account_id_fkey: 'account_id',
  sessions_user_id_fkey: 'user_id',
  study_items_type: 'type',
  study_items_user_id_fkey: 'user_id',
  study_reviews_item: 'item_id',
  subscriptions_user_id_fkey: 'user_id',
  turn_vectors_space: 'space',
  turn_vectors_turn: 'turn_id',
  user_emails_user_id_fkey: 'user_id',
};

/** What else than the learner has to be there before a row is. */
const PARENTS: Record<string, string> = {
  chat_messages: 'chats',
  chat_turns: 'chats',
  document_passages: 'documents',
  former_vectors: 'documents',
  passage_vectors: 'document_passages',
  published_documents: 'documents',
  published_passages: 'published_documents',
  service_keys: 'service_accounts',
  study_reviews: 'study_items',
  turn_vectors: 'chat_turns',
};

/** The first of them needs no other. */
function ancestorsOf(table: string): string[] {
  const parent = PARENTS[table];
  return parent === undefined ? [] : [...ancestorsOf(parent), parent];
}

/** The table of a constraint, whose name it begins with. */
const tableOf = (constraint: string) => FILLING_ORDER.find((table) => constraint.startsWith(`${table}_`))!;

describe('Constraints', () => {
  let database: TestDatabase;
  let userId: string;
  const rows = <R extends object>(text: string, values: unknown[] = []) => sql<R>(database.adminUrl, text, values);
  beforeAll(async () => {
    database = await createTestDatabase();
    userId = await withClient(database.adminUrl, (client) => insertLearner(client, ['users']));
  });
  afterAll(() => database.drop());

  /** Inserts the row, with the learner's parents in place, and takes everything back. @returns how PostgreSQL refused it */
  async function refusal(table: string, row: Row, before: (client: Client) => Promise<void> = async () => {}) {
    return withClient(database.adminUrl, async (client) => {
      await client.query('begin');
      await client.query('set constraints all immediate');
      for (const parent of ancestorsOf(table)) await insertRow(client, parent, validRow(parent, userId));
      await before(client);
      try {
        await insertRow(client, table, row);
        return 'accepted';
      } catch (error) {
        const { code, constraint, column } = error as DatabaseError;
        return [code, constraint ?? column];
      }
    });
  }
  const learnersRow = (table: string) => (table === 'users' ? validRow(table, randomUUID()) : validRow(table, userId));

  it('TU-3 each has a case here: the list comes from the catalog', async () => {
    const found = await rows<{ conname: string; contype: string }>(
      `select conname, contype from pg_constraint where conrelid::regclass::text = any($1) order by conname`,
      [await ourTables(database.adminUrl)],
    );
    const named = (...types: string[]) => found.filter((row) => types.includes(row.contype)).map((row) => row.conname);
    expect(named('c')).toEqual(Object.keys(CHECKS));
    expect(named('p', 'u')).toEqual(Object.keys(UNIQUES));
    expect(named('f')).toEqual(Object.keys(FOREIGN_KEYS));
    expect(named('x')).toEqual(['vector_spaces_one_serves']);
    expect(found.filter((row) => !'cpufx'.includes(row.contype))).toEqual([]); // no other kind
    const uniqueIndexes = await rows(
      `select indexrelid::regclass::text from pg_index where indisunique and indrelid::regclass::text = any($1)
         and not exists (select from pg_constraint where conindid = indexrelid)`,
      [await ourTables(database.adminUrl)],
    );
    expect(uniqueIndexes).toEqual([]); // each unique index is a constraint
  });

  it.each(FILLING_ORDER)('TU-1 a valid row of %s is accepted', async (table) => {
    expect(await refusal(table, learnersRow(table))).toBe('accepted');
  });

  it.each(Object.entries(CHECKS).flatMap(([constraint, bad]) => bad.map((change) => ({ constraint, change }))))(
    'TU-3 $constraint refuses $change',
    async ({ constraint, change }) => {
      const table = tableOf(constraint);
      const row: Row = { ...learnersRow(table), ...change };
      for (const column in row) if (row[column] === OWN_ID) row[column] = row['user_id'];
      expect(await refusal(table, row)).toEqual(['23514', constraint]);
    },
  );

  it.each(Object.entries(UNIQUES))('TU-3 %s refuses a second row with the same %j', async (constraint, shared) => {
    const table = tableOf(constraint);
    const first: Row = { ...learnersRow(table) };
    if (['audit_events', 'jobs', 'outbox'].includes(table)) first['id'] = 1;
    const second: Row = {
      ...first,
      ...('seq' in first && { seq: 2 }),
      ...('ordinal' in first && { ordinal: 2 }),
      ...('model' in first && { space: 3, model: 'a third' }),
      ...('email' in first && { email: 'other@example.org' }),
    };
    if (!shared.includes('id') && 'id' in second) second['id'] = randomUUID();
    const other = await withClient(database.adminUrl, (client) => insertLearner(client, ['users']));
    if (!shared.includes('user_id') && 'user_id' in second) second['user_id'] = other;
    for (const column of shared) second[column] = first[column];
    expect(await refusal(table, second, (client) => insertRow(client, table, first))).toEqual([
      '23505',
      OF_A_PARTITION[constraint] ?? constraint,
    ]);
  });

  it.each(Object.entries(FOREIGN_KEYS))('TU-3 TI-1 %s refuses a reference to nothing', async (constraint, column) => {
    const table = tableOf(constraint);
    expect(await refusal(table, { ...learnersRow(table), [column]: column === 'space' ? 99 : randomUUID() })).toEqual([
      '23503',
      constraint,
    ]);
  });

  it('TU-3 vector_spaces_one_serves refuses a second that serves', async () => {
    expect(await refusal('vector_spaces', { ...validRow('vector_spaces', userId), state: 'serving' })).toEqual([
      '23P01',
      'vector_spaces_one_serves',
    ]);
  });

  it('TU-3 every NOT NULL column refuses NULL', async () => {
    const columns = await rows<{ table: string; column: string }>(
      `select attrelid::regclass::text as table, attname as column from pg_attribute
       where attrelid::regclass::text = any($1) and attnum > 0 and attnotnull and attgenerated = '' order by 1, attnum`,
      [await ourTables(database.adminUrl)],
    );
    expect(columns.length).toBeGreaterThan(60);
    for (const { table, column } of columns) {
      const refused = await refusal(table, { ...learnersRow(table), [column]: null });
      expect([table, refused]).toEqual([table, ['23502', column]]);
    }
  });

  it.each([1535, 1537])('a vector of %i dimensions is refused', async (dimensions) => {
    const vector = `[${Array(dimensions).fill(1).join(',')}]`;
    const row = { ...learnersRow('chats'), context_vector: vector, context_model: 'm' };
    expect(await refusal('chats', row)).toEqual(['22000', undefined]);
  });

  it.each([
    ['just enough', { title: 'x' }],
    ['just not too much', { title: '🌱'.repeat(200) }],
  ])('AI-2 a title that is %s is accepted, counted in characters', async (_, change) => {
    expect(await refusal('chats', { ...learnersRow('chats'), ...change })).toBe('accepted');
  });

  describe('of time and version, for raw SQL too', () => {
    const TOUCHED = {
      users: 'id',
      profiles: 'user_id',
      subscriptions: 'user_id',
      chats: 'user_id',
      documents: 'user_id',
      progress: 'user_id',
    };
    const OLD = '2020-01-01T00:00:00.000Z';
    let learner: string;
    beforeAll(async () => {
      learner = await withClient(database.adminUrl, (client) => insertLearner(client, Object.keys(TOUCHED)));
      for (const table of Object.keys(TOUCHED)) {
        await rows(`alter table ${table} disable trigger user; update ${table} set created_at = '${OLD}', updated_at = '${OLD}';
                    alter table ${table} enable trigger user`);
      }
    });

    it.each(Object.entries(TOUCHED))('ID-7 AI-5 created_at of %s never changes', async (table, key) => {
      await expect(rows(`update ${table} set created_at = now() where ${key} = $1`, [learner])).rejects.toMatchObject({
        code: '23000',
      });
    });

    it.each(Object.entries(TOUCHED))(
      'ID-8 AI-5 updated_at and version of %s move, whatever the update says',
      async (table, key) => {
        type Touched = { created_at: Date; updated_at: Date; version: number };
        const [before] = await rows<Touched>(`select created_at, updated_at, version from ${table} where ${key} = $1`, [
          learner,
        ]);
        const [after] = await rows<Touched>(
          `update ${table} set ${key} = ${key}, updated_at = '1999-01-01', version = 77 where ${key} = $1
         returning created_at, updated_at, version`,
          [learner],
        );
        expect(after!.created_at.toISOString()).toBe(OLD);
        expect(Date.now() - after!.updated_at.getTime()).toBeLessThan(60_000);
        expect(after!.version).toBe(before!.version + 1);
      },
    );

    it('those of a study item move as well, but its version only with what is studied', async () => {
      const owner = await withClient(database.adminUrl, (client) => insertLearner(client, ['users', 'study_items']));
      const change = async (what: string) =>
        (
          await rows<{ version: number; fresh: boolean }>(
            `update study_items set updated_at = '1999-01-01', version = 77, ${what} where user_id = $1
             returning version, updated_at > now() - interval '1 minute' as fresh`,
            [owner],
          )
        )[0];
      const scheduled = `state = 'review', reps = 1, last_reviewed = now(), next_review = now() + interval '1 day', stability = 3`;
      expect(await change(scheduled)).toEqual({ version: 1, fresh: true });
      expect(await change(`content = '{"front":"c","back":"d"}'`)).toEqual({ version: 2, fresh: true });
      expect(await change(`tags = '{latin}', stability = 4`)).toEqual({ version: 3, fresh: true });
      await expect(change("created_at = created_at - interval '1 day'")).rejects.toMatchObject({ code: '23000' });
    });

    it("a change of the profile or subscription moves the user's version", async () => {
      const version = async () =>
        (await rows<{ version: number }>('select version from users where id = $1', [learner]))[0]!.version;
      let last = await version();
      for (const change of [
        `update profiles set first_name = 'Grace' where user_id = $1`,
        `update subscriptions set plan = 'pro' where user_id = $1`,
        `delete from profiles where user_id = $1`,
        `insert into profiles (user_id, first_name, last_name) values ($1, 'Ada', 'Lovelace')`,
      ]) {
        await rows(change, [learner]);
        expect(await version()).toBe(++last);
      }
    });

    it('ID-7 created_at is now() by default', async () => {
      const id = randomUUID();
      const [user] = await rows<{ age: number }>(
        `insert into users (id, email, password_hash) values ($1, $2, '$argon2id$x')
         returning extract(epoch from clock_timestamp() - created_at)::float8 as age`,
        [id, `${id}@example.org`],
      );
      expect(Math.abs(user!.age)).toBeLessThan(5);
    });
  });

  describe('of roles', () => {
    const asApp = (text: string, id: string, actorRole?: string) =>
      sql<{ role: string }>(database.adminUrl, text, [id], { role: 'studently_app', userId: id, actorRole });
    const REGISTER = (role: string) =>
      `insert into users (id, email, password_hash, role) values ($1::uuid, $1::uuid || '@example.org', '$argon2id$x', ${role}) returning role`;

    it('ID-4 a user is a STUDENT by default', async () => {
      const id = randomUUID();
      await rows(`insert into users (id, email, password_hash) values ($1::uuid, $1::uuid || '@x.io', '$argon2id$x')`, [id]);
      expect(await rows('select role from users where id = $1', [id])).toEqual([{ role: 'STUDENT' }]);
    });

    it.each(['TEACHER', 'ADMIN', 'OPS', 'DPO'])('nobody registers as %s, and no user becomes one alone', async (role) => {
      await expect(asApp(REGISTER(`'${role}'`), randomUUID())).rejects.toMatchObject({ code: '42501' });
      const id = randomUUID();
      expect(await asApp(REGISTER('default'), id)).toEqual([{ role: 'STUDENT' }]);
      await expect(asApp(`update users set role = '${role}' where id = $1`, id)).rejects.toMatchObject({ code: '42501' });
      expect(await asApp(`update users set role = '${role}' where id = $1 returning role`, id, 'ADMIN')).toEqual([{ role }]);
    });
  });
});
