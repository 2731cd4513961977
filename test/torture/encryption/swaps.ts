import { randomBytes, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { openKeys, SealedDataUnreadable, type LearnerCipher, type SealedColumn } from '@studently/platform';
import type { Client } from 'pg';
import { HttpClient, newLearner, type TestLearner } from '../../support/http';
import type { TortureContext } from '../harness/torture';

const COLUMNS: SealedColumn[] = [
  'chat_messages.content',
  'documents.content',
  'document_passages.content',
  'profiles.first_name',
  'profiles.last_name',
  'idempotency_keys.answer',
];

interface Place {
  cipher: LearnerCipher;
  column: SealedColumn;
  id: string;
}

/** Every kind of change to an envelope, and every kind of place where it does not belong. */
export async function swapInMemory(context: TortureContext): Promise<void> {
  const keys = await openKeys({ STUDENTLY_DATA_DIR: join(context.folder, 'swaps') });
  const ciphers = await Promise.all(Array.from({ length: 10 }, () => keys.toSeal(randomUUID())));
  const others = <T>(all: readonly T[], than: T) => all.filter((each) => each !== than);
  for (let n = 0; n < context.ops; n++) {
    const place: Place = { cipher: context.pick(ciphers), column: context.pick(COLUMNS), id: randomUUID() };
    const text = randomBytes(context.below(200)).toString('base64');
    const sealed = place.cipher.seal(place.column, place.id, text);
    const attacks: [name: string, place: Place, sealed: Buffer][] = [
      ['another row', { ...place, id: randomUUID() }, sealed],
      ['another column or table', { ...place, column: context.pick(others(COLUMNS, place.column)) }, sealed],
      ['another learner', { ...place, cipher: context.pick(others(ciphers, place.cipher)) }, sealed],
      ['a flipped bit', place, flipped(sealed, context.below(sealed.length * 8))],
      ['a cut', place, sealed.subarray(0, context.below(sealed.length))],
      ['more', place, Buffer.concat([sealed, randomBytes(1 + context.below(20))])],
      ['another key version', place, withVersion(sealed, context.pick([0, 2, 255, 65_535]))],
      ['a random envelope', place, Buffer.concat([sealed.subarray(0, 3), randomBytes(28 + context.below(60))])],
    ];
    const [name, at, changed] = attacks[n % attacks.length]!;
    context.attempt(isRefused(at, changed), () => `${name}: ${place.column} opened`);
    context.attempt(place.cipher.open(place.column, place.id, sealed) === text, () => 'what was not touched did not open');
  }
}

function isRefused({ cipher, column, id }: Place, sealed: Buffer): boolean {
  try {
    cipher.open(column, id, sealed);
    return false;
  } catch (error) {
    return error instanceof SealedDataUnreadable;
  }
}

function flipped(sealed: Buffer, bit: number): Buffer {
  const changed = Buffer.from(sealed);
  changed[bit >> 3]! ^= 1 << (bit & 7);
  return changed;
}

function withVersion(sealed: Buffer, version: number): Buffer {
  const changed = Buffer.from(sealed);
  changed.writeUInt16BE(version, 1);
  return changed;
}

/** Moves of a superuser, read through the API: the answer is an error with its code, never another text and never none. */
const MOVES: [name: string, sql: string, path: (learner: TestLearner, chat: string, document: string) => string][] = [
  ['messages of one chat', SWAP('chat_messages', 'content_sealed', 'content_sealed'), (_, chat) => `/v1/chats/${chat}`],
  [
    "another learner's message",
    `update chat_messages m set content_sealed = (select o.content_sealed from chat_messages o where o.user_id <> m.user_id limit 1)
     where m.user_id = $1 and m.seq = 1`,
    (_, chat) => `/v1/chats/${chat}`,
  ],
  ['names of one profile', SWAP('profiles', 'first_name_sealed', 'last_name_sealed'), ({ id }) => `/v1/users/${id}/profile`],
  [
    'a document made of a message',
    `update documents set content_sealed = (select content_sealed from chat_messages where user_id = $1 limit 1) where user_id = $1`,
    (_learner, _chat, document) => `/v1/documents/${document}`,
  ],
  ['a cut document', CUT('documents'), (_learner, _chat, document) => `/v1/documents/${document}`],
  ['an emptied message', `update chat_messages set content_sealed = '' where user_id = $1`, (_, chat) => `/v1/chats/${chat}`],
];

function SWAP(table: string, one: string, other: string): string {
  return one === other
    ? `update ${table} m set ${one} = o.${one} from ${table} o where m.user_id = $1 and o.user_id = $1 and o.id <> m.id`
    : `update ${table} set ${one} = ${other}, ${other} = ${one} where user_id = $1`;
}

function CUT(table: string): string {
  return `update ${table} set content_sealed = substr(content_sealed, 1, length(content_sealed) - 1) where user_id = $1`;
}

/** @returns how many moves were tried */
export async function swapInRows(context: TortureContext, url: string, admin: Client): Promise<number> {
  const http = new HttpClient(url);
  await withContent(await newLearner(http)); // somebody else
  for (const [name, sql, path] of MOVES) {
    const learner = await newLearner(http);
    const { chat, document } = await withContent(learner);
    await admin.query(sql, [learner.id]);
    const answer = await learner.http.get(path(learner, chat, document));
    context.attempt(
      answer.status === 503 && answer.body.code === 'SEALED_DATA_UNREADABLE',
      () => `${name}: answered ${answer.status} ${answer.text.slice(0, 200)}`,
    );
  }
  return MOVES.length;
}

async function withContent({ id, http }: TestLearner): Promise<{ chat: string; document: string }> {
  const messages = ['Grass is green.', 'So it is.'].map((content) => ({ role: 'user', content }));
  const chat = await http.post('/v1/chats', { title: 'Grass', messages });
  const document = await http.post('/v1/documents', { type: 'text', content: 'The moon is a rock.' });
  const profile = await http.put(`/v1/users/${id}/profile`, { firstName: 'Ada', lastName: 'Fernwald' });
  for (const { status, text } of [chat, document, profile]) if (status >= 300) throw new Error(`Not made: ${status} ${text}`);
  return { chat: chat.body.id, document: document.body.id };
}
