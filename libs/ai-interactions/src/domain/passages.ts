import type { LearnerCipher } from '@studently/platform';
import type { Heading } from './lines';
import { countTokens, wordsOf, type End, type Word } from './structure';

/** A piece of a document that is searched, and shown, by itself. */
export interface Passage {
  content: string;
  /** Where it begins and ends in the document, in UTF-16 code units, as JavaScript counts: `slice(startsAt, endsAt)` is its content. */
  startsAt: number;
  endsAt: number;
  /** The headings that it stands under, outermost first. */
  headings: string[];
  /** As much of those that are not in its content as is embedded with it; '' where there are none. */
  context: string;
}

/** How much a passage may have of each. */
export interface Size {
  words: number;
  /** By estimate. */
  tokens: number;
  characters: number;
}

/**
 * What a model reads of a text. By default the local one: it reads 128 SentencePiece tokens, which are about 75 words, and
 * cuts what comes after them silently. Code and addresses have more tokens to a word.
 */
export function passageLimits(maxWords = 60): Size {
  return { words: maxWords, tokens: Math.floor(maxWords * 2), characters: Math.floor((maxWords * 25) / 3) };
}

/** A passage is not ended early while it has less than that part of the limits: a heading alone says nothing. */
const LEAST_PART = 1 / 3;
/** Of a section that is cut, the end of a passage is the beginning of the next, too: so much of it at most. */
const OVERLAP_PART = 1 / 4;
/** So much of what is embedded may be headings. */
const CONTEXT_PART = 1 / 6;

/**
 * Cuts a text, Markdown or plain, into passages that with their context keep to the limits: where it can before a heading, else
 * at the end of a paragraph or list item, a sentence or a line of code, a line. A heading stays with what it is a heading of. Every
 * word is in a passage, in order. Of one section, a passage begins with the last sentences of the one before if they are short.
 */
export function cutPassages(text: string, limits = passageLimits()): Passage[] {
  const words = wordsOf(text);
  const passages: Passage[] = [];
  for (let next = 0; next < words.length;) {
    const { first, last, context } = cutFrom(words, overlapped(words, next, limits), next, limits);
    const [startsAt, endsAt] = [words[first]!.from, words[last]!.to];
    const headings = headingsOf(words, first, last).map(({ title }) => title);
    passages.push({ content: text.slice(startsAt, endsAt), startsAt, endsAt, headings, context });
    next = last + 1;
  }
  return passages;
}

interface Cut {
  first: number;
  last: number;
  context: string;
}

function cutFrom(words: readonly Word[], first: number, next: number, limits: Size): Cut {
  const context = contextOf(words[first]!, limits);
  const last = lastOf(words, first, next, less(limits, context));
  // Without an overlap the line, or the next word after a wide gap, may find its place.
  const isCrowded = last < next || words[last]!.isInLine;
  return isCrowded && first < next ? cutFrom(words, next, next, limits) : { first, last, context };
}

/** What is embedded of a passage, and what it is found by. */
export function textWithContext({ content, context }: Pick<Passage, 'content' | 'context'>): string {
  return context ? `${context}\n${content}` : content;
}

/** The same for what would be embedded as the same, of one learner. */
export function contentKey(cipher: LearnerCipher, passage: Passage): Buffer {
  return cipher.keyedHash('passage', textWithContext(passage));
}

/** The whole text as one passage, as whoever brings an embedding has it. */
export function wholePassage(content: string): Passage {
  return { content, startsAt: 0, endsAt: content.length, headings: [], context: '' };
}

const isWithin = (size: Size, limits: Size, part = 1) =>
  size.words <= limits.words * part && size.tokens <= limits.tokens * part && size.characters <= limits.characters * part;

function sizeOf(text: string): Size {
  return { words: text.match(/\S+/g)?.length ?? 0, tokens: countTokens(text), characters: text.length };
}

/** What is left of the limits beside a context, and the end of its line. */
function less(limits: Size, context: string): Size {
  if (!context) return limits;
  const { words, tokens, characters } = sizeOf(context);
  return { words: limits.words - words, tokens: limits.tokens - tokens, characters: limits.characters - characters - 1 };
}

/** Of the words from one to another, both included. */
function sizeBetween(words: readonly Word[], first: number, last: number): Size {
  return {
    words: last - first + 1,
    tokens: words[last]!.tokens - (words[first - 1]?.tokens ?? 0),
    characters: words[last]!.to - words[first]!.from,
  };
}

/** The word with which the passage begins whose first new word is `next`. */
function overlapped(words: readonly Word[], next: number, limits: Size): number {
  const { section, isHeading } = words[next]!;
  let first = next;
  if (isHeading) return first;
  for (let at = next - 1; at > 0 && isWithin(sizeBetween(words, at, next - 1), limits, OVERLAP_PART); at--) {
    if (words[at]!.isHeading || words[at]!.section !== section) break;
    if (isGoodEnd(words[at - 1]!.end)) first = at;
  }
  return first;
}

const isGoodEnd = (end: End) => end !== 'nowhere' && end !== 'line';

/** The innermost headings before a word: as many as there is room for. */
function contextOf({ section, from }: Word, limits: Size): string {
  const before = section.filter(({ startsAt }) => startsAt < from); // the others are in the passage
  return contextFrom(
    before.map(({ title }) => title),
    limits,
  );
}

/** As much of the headings as is embedded with what stands under them, the innermost first. */
export function contextFrom(headings: readonly string[], limits = passageLimits()): string {
  let context = '';
  for (const title of headings.toReversed()) {
    const longer = context ? `${title} > ${context}` : title;
    if (!isWithin(sizeOf(longer), limits, CONTEXT_PART)) break;
    context = longer;
  }
  return context;
}

/** Those of its first words that are no heading. */
function headingsOf(words: readonly Word[], first: number, last: number): readonly Heading[] {
  let at = first;
  while (at < last && words[at]!.isHeading) at++;
  return words[at]!.section;
}

/** The last word of the passage that begins with the word `first`: before `next` only if there is no room for it beside an overlap. */
function lastOf(words: readonly Word[], first: number, next: number, limits: Size): number {
  const best: Partial<Record<End, number>> = {};
  let beforeLine: number | undefined;
  let at = next;
  for (; at < words.length; at++) {
    const size = sizeBetween(words, first, at);
    if (!isWithin(size, limits)) break;
    const { end, isInLine } = words[at]!;
    if (!isInLine) beforeLine = at;
    if (isWithin(size, limits, LEAST_PART)) continue;
    if (end === 'section') return at;
    best[end] = at;
  }
  if (at === words.length) return at - 1;
  return best.paragraph ?? best.sentence ?? best.line ?? beforeLine ?? Math.max(first, at - 1);
}
