export interface Heading {
  /** Without its marks. */
  title: string;
  level: number;
  startsAt: number;
}

export interface Line {
  from: number;
  text: string;
  /** Opening and closing are those of a block of code; a heading may go on over two lines. */
  kind: 'blank' | 'text' | 'item' | 'heading' | 'row' | 'opening' | 'code' | 'closing';
  /** That begins with this line. */
  heading: Heading | undefined;
}

type RawLine = Pick<Line, 'from' | 'text'>;

/** A longer one is none. */
const LONGEST_TITLE = 200;
/** Longer front matter is none. */
const FRONT_MATTER_LINES = 100;

const HEADING = /^ {0,3}(#{1,6})[ \t]+(\S.*)$/;
const UNDERLINE = /^ {0,3}(?:={3,}|-{3,})\s*$/;
const OPENING = /^[ \t>]*(?:[-*+][ \t]+)?(`{3,}(?=[^`]*$)|~{3,})/;
const CLOSING = /^[ \t>]*(`{3,}|~{3,})\s*$/;
const RULE = /^---\s*$/;
const ITEM = /^[ \t>]*(?:[-*+]|\d{1,9}[.)])[ \t]/;
const ROW = /^[ \t>]*\|/;
const INDENTED = /^(?: {4}|\t)/;

/** The lines of a text with what each is in Markdown, as far as that decides where a passage may end. */
export function* linesOf(text: string): Generator<Line> {
  const lines = rawLines(text);
  const frontMatter = endOfFrontMatter(lines);
  let fence: string | undefined;
  let isList = false;
  let before: Line['kind'] = 'blank';
  const kindOf = (line: string, nr: number): Line['kind'] => {
    if (line.trim() === '') return 'blank';
    if (nr <= frontMatter) return 'code';
    if (fence) {
      if (!CLOSING.exec(line)?.[1]?.startsWith(fence)) return 'code';
      fence = undefined;
      return 'closing';
    }
    fence = OPENING.exec(line)?.[1];
    if (fence) return 'opening';
    if (ITEM.test(line)) return 'item';
    if (!isList && INDENTED.test(line) && (before === 'blank' || before === 'code')) return 'code';
    return ROW.test(line) || line.includes(' | ') ? 'row' : 'text';
  };
  for (const [nr, line] of lines.entries()) {
    let kind = kindOf(line.text, nr);
    const startsAfterBlank = before === 'blank' || before === 'heading';
    const heading = kind === 'text' ? headingAt(line, startsAfterBlank ? lines[nr + 1]?.text : undefined) : undefined;
    if (heading || (before === 'heading' && UNDERLINE.test(line.text) && !HEADING.test(lines[nr - 1]!.text))) kind = 'heading';
    if (kind === 'item') isList = true;
    else if (kind !== 'blank' && before === 'blank' && !INDENTED.test(line.text)) isList = false;
    yield { from: line.from, text: line.text, kind, heading };
    before = kind;
  }
}

function rawLines(text: string): RawLine[] {
  const lines: RawLine[] = [];
  for (let from = 0; from <= text.length;) {
    const newline = text.indexOf('\n', from);
    const to = newline === -1 ? text.length : newline;
    lines.push({ from, text: text.slice(from, to) });
    from = to + 1;
  }
  return lines;
}

/** The index of its last line; -1 where there is none. */
function endOfFrontMatter(lines: readonly RawLine[]): number {
  if (!RULE.test(lines[0]!.text)) return -1;
  const length = lines.slice(1, FRONT_MATTER_LINES).findIndex(({ text }) => RULE.test(text));
  return length === -1 ? -1 : length + 1;
}

/** @param below the next line, if this one would be a heading over it */
function headingAt({ from, text }: RawLine, below: string | undefined): Heading | undefined {
  const [, marks, marked] = HEADING.exec(text) ?? [];
  const isUnderlined = marked === undefined && below !== undefined && UNDERLINE.test(below);
  const title = titleOf(marked ?? (isUnderlined ? text : ''));
  if (title === undefined) return undefined;
  return { title, level: marks?.length ?? (below!.includes('=') ? 1 : 2), startsAt: from };
}

/** A heading as one reads it: without emphasis, links, tags and closing marks. */
function titleOf(heading: string): string | undefined {
  if (heading.length > 2 * LONGEST_TITLE) return undefined;
  const title = heading
    .replace(/<\/?[a-z][^<>]{0,200}>/gi, '')
    .replace(/!?\[([^\][]{0,200})\]\([^()\s]{0,200}\)/g, '$1')
    .replace(/[*`]|\b_|_\b/g, '')
    .replace(/[ \t]#{1,6}[ \t]*$/, '')
    .trim()
    .replace(/\s+/g, ' ');
  return title === '' || title.length > LONGEST_TITLE ? undefined : title;
}
