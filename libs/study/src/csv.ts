import { isUtf8 } from 'node:buffer';
import {
  DomainError,
  lineOf,
  linesOf,
  MAX_LINE_BYTES,
  refuseUnkeepable,
  type BulkLine,
  type Rejection,
} from '@studently/platform';
import { parse } from 'csv-parse/sync';
import { readStudyItem, type ImportedStudyItem } from './domain/new-study-item';

/** Parsed at once, which costs a tenth of parsing each by itself. */
const BLOCK_RECORDS = 500;
const BLOCK_BYTES = 256 * 1024;
/** So many lines of one record are put together: each by itself takes a hundred bytes more. */
const LINES_TOGETHER = 1000;
/** The names stand in each item, also in one that takes a few bytes of the file. */
const MOST_COLUMNS = 100;
const LONGEST_NAME = 100;

export class MalformedCsv extends DomainError {
  constructor(message: string) {
    super('malformed', 'MALFORMED_CSV', message);
  }
}

/** A record as it stands in the file; its line is the one that it begins on. */
interface RawRecord {
  line: number;
  text: Buffer;
  /** Why it cannot be read, and nothing after it. */
  fault?: MalformedCsv;
}

/**
 * Study items from comma-separated values (RFC 4180, UTF-8) as they arrive. The first line names the columns: `type`
 * (flashcard where it is absent or empty), `tags` (separated by `;`), and all others are members of the content, of which
 * `choices` is separated by `|`. An empty field is left out. Lines are counted as an editor does, the header being line 1.
 * It reads the source to its end even where nothing more can be made of it.
 */
export async function* readStudyCsv(source: AsyncIterable<Buffer>): AsyncGenerator<BulkLine<ImportedStudyItem> | Rejection> {
  let columns: string[] | undefined;
  let readable = true;
  for await (const records of inBlocks(recordsOf(source))) {
    if (!readable) continue;
    for (const { line, bytes, fields } of fieldsOf(records)) {
      if (columns) {
        const names = columns;
        yield lineOf(line, bytes, () => itemOf(names, fields()));
        continue;
      }
      const header = lineOf(line, bytes, () => columnsOf(fields()));
      if ('value' in header) columns = header.value;
      else {
        readable = false;
        yield header;
        break;
      }
    }
  }
}

/**
 * A record ends with a line, unless that is inside of quotes: then so far an odd number of them has come. So records are
 * told apart, and held to a length, before any of them is parsed.
 */
async function* recordsOf(source: AsyncIterable<Buffer>): AsyncGenerator<RawRecord> {
  let first = 0;
  let together: Buffer[] = [];
  let parts: Buffer[] = [];
  let length = 0;
  let isQuoted = false;
  let lost = false;
  for await (const { line, text } of linesOf(source)) {
    if (lost) continue;
    if (together.length + parts.length === 0) first = line;
    else length++; // the end of the line before
    length += text?.length ?? Infinity;
    if (length > MAX_LINE_BYTES) {
      lost = true;
      together = parts = [];
      const fault = new MalformedCsv(
        `The record has more than ${MAX_LINE_BYTES} bytes (is a quote not closed?): nothing from here on was read.`,
      );
      yield { line: first, text: Buffer.alloc(0), fault };
      continue;
    }
    parts.push(text!, NEWLINE);
    if (parts.length >= 2 * LINES_TOGETHER) {
      together.push(Buffer.concat(parts));
      parts = [];
    }
    if (hasOddQuotes(text!)) isQuoted = !isQuoted;
    if (isQuoted) continue;
    const isEmpty = length === 0 || (length === 1 && text![0] === CARRIAGE_RETURN);
    if (!isEmpty) yield { line: first, text: Buffer.concat([...together, ...parts]) };
    together = [];
    parts = [];
    length = 0;
  }
  if (!lost && isQuoted) {
    const fault = new MalformedCsv('A quote is opened here and never closed: nothing from here on was read.');
    yield { line: first, text: Buffer.alloc(0), fault };
  }
}

const NEWLINE = Buffer.from('\n');
const CARRIAGE_RETURN = 0x0d;
const QUOTE = 0x22;

function hasOddQuotes(text: Buffer): boolean {
  let odd = false;
  for (let at = text.indexOf(QUOTE); at !== -1; at = text.indexOf(QUOTE, at + 1)) odd = !odd;
  return odd;
}

async function* inBlocks(records: AsyncIterable<RawRecord>): AsyncGenerator<RawRecord[]> {
  let block: RawRecord[] = [];
  let bytes = 0;
  for await (const record of records) {
    block.push(record);
    bytes += record.text.length;
    if (block.length < BLOCK_RECORDS && bytes < BLOCK_BYTES) continue;
    yield block;
    block = [];
    bytes = 0;
  }
  if (block.length > 0) yield block;
}

interface ParsedRecord {
  line: number;
  bytes: number;
  /** @throws MalformedCsv */
  fields: () => string[];
}

/** Where one record of the block is bad, each is parsed by itself to tell which. */
function fieldsOf(records: RawRecord[]): ParsedRecord[] {
  const together = records.some(({ fault }) => fault) ? undefined : parseAll(Buffer.concat(records.map(({ text }) => text)));
  const isWhole = together?.length === records.length;
  return records.map(({ line, text, fault }, index) => ({
    line,
    bytes: text.length,
    fields: () => {
      if (fault) throw fault;
      return isWhole ? together[index]! : parseOne(text);
    },
  }));
}

function parseOne(text: Buffer): string[] {
  const records = parseAll(text);
  if (records?.length === 1) return records[0]!;
  throw new MalformedCsv(
    isUtf8(text)
      ? 'The quotes are wrong: a field that holds a quote is quoted as a whole, with its own quotes doubled.'
      : 'The line is not UTF-8.',
  );
}

function parseAll(text: Buffer): string[][] | undefined {
  if (!isUtf8(text)) return undefined;
  try {
    return parse(text, { bom: true, record_delimiter: ['\r\n', '\n'], relax_column_count: true });
  } catch {
    return undefined;
  }
}

function columnsOf(names: string[]): string[] {
  const columns = names.map((name) => name.trim());
  if (columns.includes('')) throw new MalformedCsv('The first line names the columns: one of the names is empty.');
  if (columns.length > MOST_COLUMNS || columns.some(({ length }) => length > LONGEST_NAME))
    throw new MalformedCsv(
      `The first line names at most ${MOST_COLUMNS} columns, with at most ${LONGEST_NAME} characters each.`,
    );
  if (new Set(columns).size < columns.length) throw new MalformedCsv('The first line names a column twice.');
  refuseUnkeepable(Object.fromEntries(columns.map((name) => [name, true])));
  return columns;
}

const split = (text: string, separator: string) =>
  text
    .split(separator)
    .map((part) => part.trim())
    .filter((part) => part !== '');

function itemOf(columns: string[], fields: string[]): ImportedStudyItem {
  if (fields.length !== columns.length)
    throw new MalformedCsv(`The header names ${columns.length} columns, this line has ${fields.length}.`);
  const given = new Map(columns.map((name, index) => [name, fields[index]!] as const).filter(([, field]) => field !== ''));
  const { type = 'flashcard', tags, choices, ...content } = Object.fromEntries(given);
  const item = {
    type,
    content: choices === undefined ? content : { ...content, choices: split(choices, '|') },
    ...(tags !== undefined && { tags: split(tags, ';') }),
  };
  refuseUnkeepable(item);
  return readStudyItem(item);
}
