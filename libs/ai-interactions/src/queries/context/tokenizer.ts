/** The encoding of OpenAI's models since GPT-4o. Those of others count other tokens, about as many. */
export const TOKENIZER = 'o200k_base';

export interface Tokenizer {
  /** @returns undefined if there are more than `most` */
  count(text: string, most: number): number | undefined;
  /** As much of a text, from its beginning, as `most` tokens hold: whole characters, as a reader sees them. */
  beginning(text: string, most: number): string;
}

/** Names of special tokens in a text are text. */
const PLAIN = { allowedSpecial: new Set<string>(), disallowedSpecial: new Set<string>() };
/** Words whose tokens the library remembers. */
const REMEMBERED = 10_000;
/** A run of letters, of white space or of signs is one piece for the tokenizer, which takes the square of its length. */
const RUNS = /[\p{L}\p{M}]+|\s+|[^\s\p{L}\p{M}\p{N}]+/gu;
const LONGEST_RUN = 1000;
/** So many characters are counted at a time. */
const PIECE = 512;

let loaded: Promise<Tokenizer> | undefined;

/** The tokenizer, loaded when it is first needed: it takes half a second of CPU and 60 MB, which not every process has to spare. */
export function loadTokenizer(): Promise<Tokenizer> {
  return (loaded ??= load());
}

async function load(): Promise<Tokenizer> {
  const { isWithinTokenLimit, setMergeCacheSize } = await import('gpt-tokenizer/encoding/o200k_base');
  setMergeCacheSize(REMEMBERED);
  const count = (text: string, most: number) => {
    const tokens = most < 0 ? false : isWithinTokenLimit(text, most, PLAIN);
    return tokens === false ? undefined : tokens;
  };
  return { count, beginning: (text, most) => beginning(text, most, count) };
}

/** Piece by piece, then in smaller ones. (The library's decoder keeps what is left of half a character for whoever comes next.) */
function beginning(text: string, most: number, count: Tokenizer['count']): string {
  let [end, left] = [0, most];
  for (let length = PIECE; length >= 1 && end < text.length;) {
    const tokens = count(text.slice(end, end + length), left);
    if (tokens === undefined) length = Math.floor(length / 2);
    else [end, left] = [end + length, left - tokens];
  }
  // All together they may take other tokens than piece by piece.
  end = wholeCharacters(text, end);
  for (let over = 1; end > 0 && count(text.slice(0, end), most) === undefined; over *= 2) {
    end = wholeCharacters(text, Math.max(0, end - over));
  }
  return text.slice(0, end);
}

/** A text up to where a run goes on for more than 1,000 characters: nobody has written that, and counting it would hold up everybody. */
export function untilEndlessRun(text: string): string {
  if (text.length <= LONGEST_RUN) return text;
  for (const { 0: run, index } of text.matchAll(RUNS)) {
    if (run.length > LONGEST_RUN) return text.slice(0, wholeCharacters(text, index + LONGEST_RUN));
  }
  return text;
}

/** The last place up to `end` where no character is cut. */
function wholeCharacters(text: string, end: number): number {
  return new Intl.Segmenter().segment(text).containing(end)?.index ?? text.length;
}
