const SHOWN_CHARACTERS = 10_000;

/** What a search shows of a text: the same as PostgreSQL's `left`, which counts characters. One has two code units at most. */
export function shownText(text: string): string {
  if (text.length <= SHOWN_CHARACTERS) return text;
  return [...text.slice(0, 2 * SHOWN_CHARACTERS)].slice(0, SHOWN_CHARACTERS).join('');
}
