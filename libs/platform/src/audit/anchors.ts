import { appendFileSync, createReadStream, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Settings } from '../config/config';
import type { Anchor } from './batch';

/** Where the anchors of this installation go. */
export const anchorFileOf = (settings: Settings): string =>
  settings.AUDIT_ANCHOR_FILE ?? join(settings.STUDENTLY_DATA_DIR, 'audit-anchors.jsonl');

/** One line more, on the disk when this returns. Several processes may share a file: each line is one write. */
export function appendAnchor(file: string, anchor: Anchor): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  appendFileSync(file, `${JSON.stringify(anchor)}\n`, { mode: 0o600, flush: true });
}

/** A line of the file that is no anchor. */
export interface NoAnchor {
  file: string;
  line: number;
}

/** Of whatever log they are, in the order of the file. @throws if the file cannot be read */
export async function* readAnchors(file: string): AsyncGenerator<Anchor | NoAnchor> {
  let line = 0;
  for await (const text of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
    line += 1;
    if (text.trim() === '') continue;
    yield parsed(text) ?? { file, line };
  }
}

function parsed(text: string): Anchor | undefined {
  try {
    const value = JSON.parse(text) as Partial<Anchor>;
    const isAnchor =
      typeof value.log === 'string' &&
      /^\d{1,18}$/.test(value.seq ?? '') &&
      typeof value.signature === 'string' &&
      Array.isArray(value.ids);
    return isAnchor ? (value as Anchor) : undefined;
  } catch {
    return undefined;
  }
}

export const isNoAnchor = (value: Anchor | NoAnchor): value is NoAnchor => 'line' in value;
