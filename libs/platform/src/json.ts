import { DomainError, ValidationFailed, type FieldFault } from './errors/domain-error';

const MAX_DEPTH = 32;
const MAX_FAULTS = 20;
const LONGEST_NAME = 100;
const FORBIDDEN_KEYS = new Set(['__proto__', 'constructor', 'prototype']);

export class MalformedJson extends DomainError {
  constructor(message = 'The body is not JSON.') {
    super('malformed', 'MALFORMED_JSON', message);
  }
}

/**
 * Parses a request body or a line of one and refuses what no route can keep: text that PostgreSQL cannot store (NUL, lone
 * surrogates), numbers that JSON cannot give back, keys that reach for prototypes, and bottomless nesting.
 * @throws MalformedJson or ValidationFailed
 */
export function parseJson(text: string): unknown {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw new MalformedJson();
  }
  refuseUnkeepable(body);
  return body;
}

/**
 * What PostgreSQL keeps is what was sent: -0, which it keeps as 0, becomes 0 here.
 * @throws ValidationFailed for what no route can keep, wherever in `value` it is
 */
export function refuseUnkeepable(value: unknown): void {
  const faults: FieldFault[] = [];
  inspect(value, '', 1, faults);
  if (faults.length > 0) throw new ValidationFailed(faults);
}

function inspect(value: unknown, path: string, depth: number, faults: FieldFault[]): void {
  if (faults.length >= MAX_FAULTS) return;
  const refuse = (code: string, message: string) => faults.push({ path, code, message });
  if (typeof value === 'string') {
    if (value.includes('\0')) refuse('nul_character', 'Text cannot hold the NUL character.');
    else if (!value.isWellFormed()) refuse('lone_surrogate', 'This is not valid Unicode: half of a character is missing.');
  } else if (typeof value === 'number') {
    if (!Number.isFinite(value)) refuse('number_too_large', 'This number is too large.');
  } else if (typeof value === 'object' && value !== null) {
    if (depth > MAX_DEPTH) refuse('too_deep', `Nest at most ${MAX_DEPTH} levels.`);
    else inspectMembers(value, path, depth, faults);
  }
}

/** As much of a key as is told of it: a copy, which does not keep all of it in memory. */
export function shortened(key: string): string {
  if (key.length <= LONGEST_NAME) return key;
  return `${Buffer.from(key.slice(0, LONGEST_NAME), 'utf16le').toString('utf16le')}…`;
}

function inspectMembers(value: object, path: string, depth: number, faults: FieldFault[]): void {
  if (Array.isArray(value)) return inspectElements(value, path, depth, faults);
  const members = value as Record<string, unknown>;
  for (const [key, member] of Object.entries(value)) {
    const name = shortened(key);
    const at = path === '' ? name : `${path}.${name}`;
    if (FORBIDDEN_KEYS.has(key)) faults.push({ path: at, code: 'forbidden_key', message: 'This key is not allowed.' });
    else if (key.includes('\0') || !key.isWellFormed())
      faults.push({ path, code: 'invalid_key', message: 'A key is not valid Unicode text.' });
    else if (member === 0) members[key] = 0;
    else inspect(member, at, depth + 1, faults);
  }
}

/** Vectors have 1,536 numbers: a path is made only for what may be at fault. */
function inspectElements(elements: unknown[], path: string, depth: number, faults: FieldFault[]): void {
  elements.forEach((element, nr) => {
    if (element === 0) elements[nr] = 0;
    else if (!Number.isFinite(element)) inspect(element, path === '' ? String(nr) : `${path}.${nr}`, depth + 1, faults);
  });
}
