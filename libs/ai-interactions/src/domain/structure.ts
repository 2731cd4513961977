import { linesOf, type Heading, type Line } from './lines';

/** How good a place to end a passage is after a word. */
export type End = 'nowhere' | 'line' | 'sentence' | 'paragraph' | 'section';

export interface Word {
  from: number;
  to: number;
  /** How many are in the text up to its end, by estimate. */
  tokens: number;
  end: End;
  /** It and the next word are of one line that should stay whole: of code, of a table, a heading. */
  isInLine: boolean;
  isHeading: boolean;
  /** The headings that it stands under, outermost first; the same array for all words of a section. */
  section: readonly Heading[];
}

/** Longer runs without a space (addresses, data) count as several words, and so does each sentence of scripts that write none. */
const WORDS = /[^\s。！？]{1,50}[。！？]{0,3}|[。！？]{1,50}/gu;
/** About what a tokenizer makes of English and of code: counted by the local model's, the mean of both is off by less than 10 %. */
const TOKENS = /[\p{L}\p{M}]{1,4}|[^\s\p{L}\p{M}]/gu;
const ENDS_SENTENCE = /(?:[.!?…。！？]["'”’»)\]]*)$/u;
const ENDS_WITHOUT_SPACE = /[。！？]$/u;

/** As in `**Example:**`. */
const INTRODUCES = /:[*_]{0,2}$/;
/** A line of a quotation that has nothing but its mark. */
const QUOTED_BLANK = /^[ \t]*>[\s>]*$/;

/** The words of a text, Markdown or plain, and what its structure says about each. */
export function wordsOf(text: string): Word[] {
  const words: Word[] = [];
  let section: readonly Heading[] = [];
  let before: Line | undefined;
  for (const line of linesOf(text)) {
    const last = words.at(-1);
    if (line.kind === 'blank') {
      if (last && !last.isHeading) last.end = 'paragraph';
      continue;
    }
    if (last && before) last.end = endOf(last, before, line);
    const { heading } = line;
    if (heading) section = [...section.filter(({ level }) => level < heading.level), heading];
    addWords(words, line, section);
    if (QUOTED_BLANK.test(line.text)) words.at(-1)!.end = 'paragraph';
    before = line;
  }
  return words;
}

/** How good a place the end of a line is, before the `next` one. */
function endOf({ isHeading, end, to }: Word, line: Line, next: Line): End {
  if (isHeading || line.kind === 'opening' || next.kind === 'closing') return 'nowhere'; // they stay together
  if (next.kind === 'heading') return 'section';
  if (INTRODUCES.test(line.text.slice(0, to - line.from).slice(-3))) return 'line'; // it says what follows
  if (end === 'paragraph' || next.kind === 'item') return 'paragraph';
  if (end === 'nowhere') return isWhole(line) || isWhole(next) ? 'sentence' : 'line';
  return end;
}

const isWhole = ({ kind }: Line) => kind !== 'text' && kind !== 'item';

function addWords(words: Word[], line: Line, section: readonly Heading[]): void {
  const isInLine = isWhole(line);
  let tokens = words.at(-1)?.tokens ?? 0;
  for (const { 0: text, index } of line.text.matchAll(WORDS)) {
    const from = line.from + index;
    const to = from + text.length;
    const end = isInLine ? 'nowhere' : endAfter(text, line.text[index + text.length]);
    tokens += countTokens(text);
    words.push({ from, to, tokens, end, isInLine, isHeading: line.kind === 'heading', section });
  }
  words.at(-1)!.isInLine = false;
}

export function countTokens(text: string): number {
  return text.match(TOKENS)?.length ?? 0;
}

function endAfter(word: string, next: string | undefined): End {
  const isEnd = ENDS_SENTENCE.test(word) && (next === undefined || next.trim() === '' || ENDS_WITHOUT_SPACE.test(word));
  return isEnd ? 'sentence' : 'nowhere';
}
