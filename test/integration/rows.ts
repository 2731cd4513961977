import { randomUUID } from 'node:crypto';
import type { Client } from 'pg';

export type Row = Record<string, unknown>;

/** A client, or a transaction of the product's. */
type Querying = { query(text: string, values: unknown[]): Promise<unknown> };

const HASH = `\\x${'ab'.repeat(32)}`;
/** Every row of a learner belongs to the same chat. */
const chatOf = (userId: string) => `${userId.slice(0, -4)}c4a7`;
/** Every passage of a learner is of the same document. */
const turnOf = (userId: string) => `${userId.slice(0, -4)}7e45`;
const documentOf = (userId: string) => `${userId.slice(0, -4)}d0c5`;
/** Every vector of a learner is of the same passage. */
const passageOf = (userId: string) => `${userId.slice(0, -4)}9a55`;
/** Every key made for a learner is of the same service account. */
const accountOf = (userId: string) => `${userId.slice(0, -4)}5e1c`;
/** Every review of a learner is of the same item. */
const itemOf = (userId: string) => `${userId.slice(0, -4)}17e3`;

let batches = 0;

/** A valid row of each table for one learner; parents before children. */
const ROWS: Record<string, (userId: string) => Row> = {
  users: (id) => ({ id, email: `${id}@example.org`, password_hash: '$argon2id$not-a-real-one' }),
  user_emails: (user_id) => ({ user_id, email: `${user_id}@example.org` }),
  profiles: (user_id) => ({
    user_id,
    id: randomUUID(),
    first_name: 'Ada',
    last_name: 'Lovelace',
    preferences: '{"theme":"dark"}',
  }),
  subscriptions: (user_id) => ({
    user_id,
    id: randomUUID(),
    plan: 'basic',
    status: 'active',
    current_period_start: '2026-01-01T00:00:00Z',
    current_period_end: '2026-02-01T00:00:00Z',
    external_ref: 'x',
  }),
  sessions: (user_id) => ({
    user_id,
    id: randomUUID(),
    secret_hash: HASH,
    epoch: 1,
    ip_hash: 'x',
    user_agent_hash: 'x',
    expires_at: '2999-01-01T00:00:00Z',
  }),
  revoked_sessions: () => ({ id: randomUUID(), expires_at: '2999-01-01T00:00:00Z' }),
  idempotency_keys: (user_id) => ({ user_id, id: randomUUID(), fingerprint: HASH, answer: '{}', read_token: 'x' }),
  master_keys: () => ({ id: 'master-1', check_value: HASH }),
  import_batches: (user_id) => ({ user_id, id: randomUUID(), accepted_lines: '{[1,10)}' }),
  chats: (user_id) => ({ user_id, id: chatOf(user_id), title: 'Photosynthesis', message_count: 1 }),
  chat_messages: (user_id) => ({
    user_id,
    id: randomUUID(),
    chat_id: chatOf(user_id),
    seq: 1,
    role: 'user',
    content: 'What is chlorophyll?',
  }),
  chat_turns: (user_id) => ({
    user_id,
    id: turnOf(user_id),
    chat_id: chatOf(user_id),
    seq: 1,
    lexemes_sealed: `'c0ffee':1`,
  }),
  study_item_types: () => ({ type: 'essay', content_schema: '{}' }),
  study_items: (user_id) => ({ user_id, id: itemOf(user_id), type: 'flashcard', content: '{"front":"a","back":"b"}' }),
  study_reviews: (user_id) => ({
    user_id,
    id: randomUUID(),
    item_id: itemOf(user_id),
    seq: 1,
    client_review_id: 'x',
    rating: 3,
    reviewed_at: '2026-01-01T00:00:00Z',
    answer: '{}',
  }),
  progress: (user_id) => ({ user_id, id: randomUUID(), category: 'algebra', score: 62.5 }),
  document_types: () => ({ type: 'hologram' }),
  documents: (user_id) => ({ user_id, id: documentOf(user_id), type: 'text', content: 'Grass is green.' }),
  document_passages: (user_id) => ({
    user_id,
    id: passageOf(user_id),
    document_id: documentOf(user_id),
    ordinal: 1,
    content: 'Grass is green.',
    starts_at: 0,
  }),
  turn_vectors: (user_id) => ({
    user_id,
    id: randomUUID(),
    turn_id: turnOf(user_id),
    chat_id: chatOf(user_id),
    space: 0,
    embedding: `[${Array(1536).fill(1).join(',')}]`,
  }),
  vector_spaces: () => ({ space: 2, model: 'another', state: 'filling' }),
  passage_vectors: (user_id) => ({
    user_id,
    id: randomUUID(),
    passage_id: passageOf(user_id),
    document_id: documentOf(user_id),
    space: 0,
    embedding: `[${Array(1536).fill(1).join(',')}]`,
  }),
  former_vectors: (user_id) => ({
    user_id,
    id: randomUUID(),
    document_id: documentOf(user_id),
    space: 0,
    content_key: HASH,
    embedding: `[${Array(1536).fill(1).join(',')}]`,
  }),
  published_documents: (user_id) => ({
    user_id,
    id: documentOf(user_id),
    type: 'text',
    title: 'Grass',
    metadata: '{"course":"biology"}',
    space: 0,
    vectors: 1,
  }),
  published_passages: (user_id) => ({
    user_id,
    id: passageOf(user_id),
    document_id: documentOf(user_id),
    ordinal: 1,
    content: 'Grass is green.',
    starts_at: 0,
    ends_at: 15,
    space: 0,
    embedding: `[${Array(1536).fill(0.02).join(',')}]`,
  }),
  service_accounts: (user_id) => ({ id: accountOf(user_id), name: `for ${user_id}`, scopes: '{study:read}' }),
  service_keys: (user_id) => ({ account_id: accountOf(user_id), id: randomUUID(), secret_hash: HASH }),
  grants: (user_id) => ({ user_id, id: randomUUID(), teacher_id: randomUUID(), scopes: '{progress,study}' }),
  audit_events: (learner_id) => ({
    learner_id,
    occurred_at: '2026-01-01T12:00:00Z',
    actor_role: 'STUDENT',
    action: 'chat.started',
  }),
  audit_log: () => ({ id: randomUUID(), monthly_from: '2026-01-01T00:00:00Z' }),
  audit_batches: () => ({
    seq: ++batches,
    first_xid: 1,
    first_id: 1,
    last_xid: 1,
    last_id: 1,
    events: 1,
    ids: '{1}',
    leaves: HASH,
    previous: HASH,
    head: HASH,
    sealed_at: '2026-01-01T12:00:01Z',
    key_id: 'x',
    signature: HASH,
  }),
  jobs: (learner_id) => ({ learner_id, job: 'embed-document', subject_id: documentOf(learner_id) }),
  outbox: (learner_id) => ({ learner_id, topic: 'chat.started', payload: '{}' }),
};

/** Tables in an order in which they can be filled. */
export const FILLING_ORDER = Object.keys(ROWS);

/** @throws if nobody has said yet what a valid row of the table is */
export function validRow(table: string, userId: string): Row {
  const row = ROWS[table];
  if (!row) throw new Error(`test/integration/rows.ts has no row for ${table} yet: add one.`);
  return row(userId);
}

export async function insertRow(client: Querying, table: string, row: Row): Promise<void> {
  const columns = Object.keys(row);
  const places = columns.map((_, index) => `$${index + 1}`);
  await client.query(
    `insert into ${table} (${columns.join(', ')}) overriding system value values (${places.join(', ')})`,
    Object.values(row),
  );
}

/** One row in each of the tables, all of one learner. @returns the learner's id */
export async function insertLearner(client: Client, tables: readonly string[]): Promise<string> {
  const userId = randomUUID();
  for (const table of FILLING_ORDER) if (tables.includes(table)) await insertRow(client, table, validRow(table, userId));
  return userId;
}
