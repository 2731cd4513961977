import { createHash } from 'node:crypto';

/** The same uuid (version 8 of RFC 9562) for the same parts: what is made of them once more is then the same thing. */
export function knownId(...parts: string[]): string {
  const digest = createHash('sha256').update(JSON.stringify(parts)).digest('hex');
  return digest.replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*$/, '$1-$2-8$3-a$4-$5');
}
