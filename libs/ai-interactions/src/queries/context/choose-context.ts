import type { MessageRole } from '../../domain/chat.entity';
import type { FoundPassage } from '../search/found-passages';
import { untilEndlessRun, type Tokenizer } from './tokenizer';

/** What a message costs besides its text: three tokens around it, and one for its role (OpenAI's rule for its chat models). */
export const MESSAGE_TOKENS = 4;

export interface Turn {
  id: string;
  seq: number;
  role: MessageRole;
  text: string;
}

export interface FoundTurn {
  kind: 'turn';
  message: Turn;
  score: number;
}

export type Found = FoundTurn | ({ kind: 'passage' } & FoundPassage);

interface Sent {
  /** What it takes of the budget: the tokens of `rendered.content`, and four. */
  tokens: number;
  /** The message to be sent to a model. */
  rendered: { role: MessageRole; content: string };
}

export type ContextItem = Found &
  Sent & {
    /** Of a turn: it is one of the last ones; otherwise it was found. */
    isRecent?: boolean;
    /** Its text is not all of it. */
    isCut: boolean;
  };

export interface Candidates {
  /** The branch backwards, from its last turn. */
  turns: readonly Turn[];
  /** What the chat begins with, if that is said by the system. */
  instruction?: Turn;
  /** Passages and earlier turns, best first. */
  found: readonly Found[];
  /** By id, the ids of others that say nearly the same. */
  alike: ReadonlyMap<string, ReadonlySet<string>>;
}

/**
 * Chooses what a model is told: the last turns for half of the budget, then what was found by its score, then, if there is room,
 * the turns before the last ones. Nothing is said twice, and never more than the budget.
 * @returns in the order in which a model is told: instruction, passages as they stand in their documents, turns as they were said
 */
export function chooseContext(candidates: Candidates, tokenBudget: number, tokenizer: Tokenizer): ContextItem[] {
  const { turns, instruction, found, alike } = candidates;
  const scores = new Map(found.map((each) => [idOf(each), each.score]));
  const recent = (limit: number, except: readonly ContextItem[]) =>
    lastTurns({ turns, instruction, limit, tokenizer, except: new Set(except.map(idOf)) }).map((turn) => ({
      ...turn,
      score: scores.get(idOf(turn)) ?? 0,
    }));
  const last = recent(Math.floor(tokenBudget / 2), []);
  const best = bestOf(found, alike, last, tokenBudget, tokenizer);
  const more = recent(tokenBudget - tokensOf(best), best);
  const said = more.map(saidBy);
  return [...more, ...best.filter((item) => !isSaid(item, said, alike))].sort(inOrder);
}

export const tokensOf = (items: readonly ContextItem[]) => items.reduce((sum, { tokens }) => sum + tokens, 0);

interface LastTurns {
  turns: readonly Turn[];
  instruction?: Turn;
  limit: number;
  tokenizer: Tokenizer;
  except: ReadonlySet<string>;
}

/** Backwards as long as there is room, without a gap. Of the very last one there is at least its beginning. */
function lastTurns({ turns, instruction, limit, tokenizer, except }: LastTurns): ContextItem[] {
  const items: ContextItem[] = [];
  const [last, ...before] = turns.filter(({ text }) => text.trim() !== '');
  if (!last) return items;
  const add = (item: ContextItem | undefined) => item && items.push({ ...item, isRecent: true });
  const turn = (message: Turn) => asItem({ kind: 'turn', message, score: 0 }, limit - tokensOf(items), tokenizer);
  add(turn(last) ?? cut(last, limit, tokenizer));
  if (items.length === 0) return items;
  if (instruction && instruction.id !== last.id && !except.has(instruction.id)) add(turn(instruction));
  for (const message of before) {
    if (except.has(message.id) || message.id === instruction?.id) continue;
    if (!add(turn(message))) break;
  }
  return items;
}

/** By score, as long as there is room: where one does not fit, a shorter one may. */
function bestOf(
  found: readonly Found[],
  alike: Candidates['alike'],
  last: readonly ContextItem[],
  tokenBudget: number,
  tokenizer: Tokenizer,
): ContextItem[] {
  const items: ContextItem[] = [];
  const said = last.map(saidBy);
  let left = tokenBudget - tokensOf(last);
  for (const each of found) {
    const part = each.kind === 'passage' ? withoutOverlap(each, items) : each;
    if (left <= MESSAGE_TOKENS) break;
    if (isSaid(part, said, alike)) continue;
    const item = asItem(part, left, tokenizer);
    if (!item) continue;
    items.push(item.kind === 'turn' ? { ...item, isRecent: false } : item);
    said.push(saidBy(item));
    left -= item.tokens;
  }
  return items;
}

type PassageFound = Extract<Found, { kind: 'passage' }>;

/** What of a passage is in no chosen passage of the same document. */
function withoutOverlap(found: PassageFound, chosen: readonly ContextItem[]): PassageFound {
  const { passage, document } = found;
  let [from, to] = [passage.startsAt, endOf(passage)];
  for (const item of chosen) {
    if (item.kind !== 'passage' || item.document.id !== document.id) continue;
    const [start, end] = [item.passage.startsAt, endOf(item.passage)];
    if (start <= from && end > from) from = Math.min(end, to);
    if (start < to && end >= to) to = Math.max(start, from);
  }
  const text = passage.text.slice(from - passage.startsAt, to - passage.startsAt);
  return { ...found, passage: { ...passage, startsAt: from, endsAt: to, text } };
}

/** Of what is shown: a passage may be longer. */
const endOf = ({ startsAt, text }: FoundPassage['passage']) => startsAt + text.length;

interface Said {
  id: string;
  text: string;
}

const idOf = (found: Found) => (found.kind === 'turn' ? found.message.id : found.passage.id);
const inOneLine = (text: string) => text.replace(/\s+/g, ' ').trim();
const textOf = (found: Found) => inOneLine(found.kind === 'turn' ? found.message.text : found.passage.text);
const saidBy = (found: Found): Said => ({ id: idOf(found), text: textOf(found) });

/** Whether it is said already, word for word or nearly so. */
function isSaid(found: Found, said: readonly Said[], alike: Candidates['alike']): boolean {
  const { id, text } = saidBy(found);
  return text === '' || said.some((other) => other.id === id || alike.get(id)?.has(other.id) || other.text.includes(text));
}

/** @returns undefined if it takes more than `limit` */
function asItem(found: Found, limit: number, tokenizer: Tokenizer): ContextItem | undefined {
  const whole = found.kind === 'turn' ? found.message.text : found.passage.text;
  const text = untilEndlessRun(whole);
  const item = rendered(found, text);
  const tokens = tokenizer.count(item.rendered.content, limit - MESSAGE_TOKENS);
  return tokens === undefined ? undefined : { ...item, isCut: text !== whole, tokens: tokens + MESSAGE_TOKENS };
}

function rendered(found: Found, text: string): Found & Pick<Sent, 'rendered'> {
  if (found.kind === 'turn') {
    const message = { ...found.message, text };
    return { ...found, message, rendered: { role: message.role, content: text } };
  }
  const { highlights: _, ...passage } = { ...found.passage, text };
  const source = inOneLine([found.document.title ?? found.document.type, ...passage.headings].join(' > '));
  // A document is what somebody has brought, not an instruction.
  return { ...found, passage, rendered: { role: 'user', content: `[${source}, passage ${passage.ordinal}]\n${text}` } };
}

function cut(message: Turn, limit: number, tokenizer: Tokenizer): ContextItem | undefined {
  if (limit <= MESSAGE_TOKENS) return undefined;
  const text = tokenizer.beginning(untilEndlessRun(message.text), limit - MESSAGE_TOKENS);
  const item = text === '' ? undefined : asItem({ kind: 'turn', message: { ...message, text }, score: 0 }, limit, tokenizer);
  return item && { ...item, isCut: true };
}

function inOrder(one: ContextItem, other: ContextItem): number {
  const byPart = partOf(one) - partOf(other);
  if (byPart !== 0) return byPart;
  if (one.kind === 'turn' && other.kind === 'turn') return one.message.seq - other.message.seq;
  if (one.kind === 'passage' && other.kind === 'passage' && one.document.id === other.document.id) {
    return one.passage.ordinal - other.passage.ordinal;
  }
  return documentOf(one) < documentOf(other) ? -1 : 1;
}

const documentOf = (item: ContextItem) => (item.kind === 'passage' ? item.document.id : '');
const partOf = (item: ContextItem) => (item.kind === 'passage' ? 1 : item.message.role === 'system' ? 0 : 2);
