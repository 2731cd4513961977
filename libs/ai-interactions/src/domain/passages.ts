/** A piece of a document that is searched, and shown, by itself. */
export interface Passage {
  content: string;
  /** Where it begins in the document, in UTF-16 code units, as JavaScript counts. */
  startsAt: number;
}

/** The model reads 128 SentencePiece tokens, which are about 75 words, and cuts what comes after them silently. */
const MAX_WORDS = 60;
/** Code and addresses have more tokens to a word. */
const MAX_LENGTH = 500;
/** A passage is not ended early while it has fewer words than that: a heading alone says nothing. */
const MIN_WORDS = 20;

/** Longer runs without a space (addresses, data, scripts that write none) count as several words. */
const WORDS = /\S{1,100}/gu;
const ENDS_SENTENCE = /[.!?…。！？]["'”’»)\]]*$/u;

interface Word {
  from: number;
  to: number;
  /** How good a place to end a passage is after this word. */
  end: 'nowhere' | 'line' | 'sentence' | 'paragraph' | 'section';
}

/**
 * Cuts a text into passages of at most 60 words, where it can before a Markdown heading, at the end of a paragraph or of
 * a sentence. A heading stays with what it is a heading of. Every word is in exactly one passage, in order; only white space is between them.
 */
export function cutPassages(text: string): Passage[] {
  const words = wordsOf(text);
  const passages: Passage[] = [];
  for (let first = 0; first < words.length;) {
    const last = lastOf(words, first);
    const { from } = words[first]!;
    passages.push({ content: text.slice(from, words[last]!.to), startsAt: from });
    first = last + 1;
  }
  return passages;
}

function wordsOf(text: string): Word[] {
  const matches = [...text.matchAll(WORDS)];
  return matches.map(({ 0: word, index: from }, nr) => {
    const to = from + word.length;
    return { from, to, end: endOf(word, text.slice(to, matches[nr + 1]?.index), matches[nr + 1]?.[0]) };
  });
}

function endOf(word: string, gap: string, next: string | undefined): Word['end'] {
  const isLineEnd = gap.includes('\n');
  if (isLineEnd && next !== undefined && /^#{1,6}$/.test(next)) return 'section';
  if (/\n\s*\n/.test(gap)) return 'paragraph';
  if (gap !== '' && ENDS_SENTENCE.test(word)) return 'sentence';
  return isLineEnd ? 'line' : 'nowhere';
}

/** The index of the last word of the passage that begins with the word `first`. */
function lastOf(words: readonly Word[], first: number): number {
  const best: Partial<Record<Word['end'], number>> = {};
  let at = first;
  for (; at < words.length && fits(words, first, at); at++) {
    const { end } = words[at]!;
    if (at - first + 1 < MIN_WORDS) continue;
    if (end === 'section') return at;
    best[end] = at;
  }
  if (at === words.length) return at - 1;
  return best.paragraph ?? best.sentence ?? best.line ?? Math.max(first, at - 1);
}

function fits(words: readonly Word[], first: number, at: number): boolean {
  return at - first < MAX_WORDS && words[at]!.to - words[first]!.from <= MAX_LENGTH;
}
