import { ChangeSetType, type ChangeSet, type EntityMetadata, type EventSubscriber, type FlushEventArgs } from '@mikro-orm/core';
import { SealedDataUnreadable } from '../security/keys/envelope';
import type { LearnerCipher, SealedColumn } from '../security/keys/learner-cipher';

/** Entity.field (or an Entity that came or went as a whole) → keyed hashes of its value before and after. */
export type HashedChanges = Record<string, [before: string | null, after: string | null]>;

type Values = Record<string, unknown>;

/** What a flush did to one entity. Before it was created, and after it was deleted, it has no values. */
export interface Change {
  meta: EntityMetadata;
  id: string;
  before?: Values;
  after?: Values;
}

/** They follow from the others, or from the clock. */
const BOOKKEEPING = new Set(['id', 'userId', 'createdAt', 'updatedAt', 'version']);
/** Ends the names of properties that are sealed; the readable one of older rows is called the same without it. */
const SEALED = 'Sealed';

/** Sees what each flush changes, as the ORM has found it out anyway, for the audit event of the command. */
export class ChangedValues implements EventSubscriber {
  private readonly seen = new WeakMap<object, Change[]>();

  onFlush({ em, uow }: FlushEventArgs): void {
    const changes = uow.getChangeSets().map(changeOf);
    if (changes.length > 0) this.seen.set(em, [...(this.seen.get(em) ?? []), ...changes]);
  }

  /** What the flushes of one command changed; undefined: nothing. */
  of(em: object): readonly Change[] | undefined {
    return this.seen.get(em);
  }
}

/** In hashes that nobody can try values against without the learner's key, nor compare with another learner's. */
export function hashedChanges(changes: readonly Change[], cipher: LearnerCipher): HashedChanges {
  const hashed = (value: unknown) =>
    value === undefined || value === null ? null : cipher.keyedHash('change', textOf(value)).toString('base64url');
  const all: HashedChanges = {};
  for (const [name, before, after] of changes.flatMap((change) => changedParts(change, cipher))) {
    const [one, other] = [hashed(before), hashed(after)];
    if (one !== other) all[name] = [one, other];
  }
  return all;
}

function changeOf({ type, meta, entity, payload, originalEntity }: ChangeSet<object>): Change {
  const { id } = entity as { id: string };
  const before = originalEntity as Values | undefined;
  const after = { ...payload };
  if (type === ChangeSetType.CREATE) return { meta, id, after };
  return type === ChangeSetType.UPDATE ? { meta, id, before: before ?? {}, after } : { meta, id, before };
}

function changedParts(change: Change, cipher: LearnerCipher): [name: string, before: unknown, after: unknown][] {
  const { meta } = change;
  const [before, after] = [opened(change, change.before, cipher), opened(change, change.after, cipher)];
  if (!before || !after) return [[meta.className, before, after]];
  return Object.keys(after)
    .filter((field) => !BOOKKEEPING.has(field))
    .map((field) => [`${meta.className}.${field}`, before[field], after[field]]);
}

/** What is sealed counts by its text, as the envelope is another one each time. */
function opened({ meta, id }: Change, values: Values | undefined, cipher: LearnerCipher): Values | undefined {
  if (!values) return undefined;
  const all = { ...values };
  for (const [field, sealed] of Object.entries(values)) {
    if (!field.endsWith(SEALED)) continue;
    delete all[field];
    if (!Buffer.isBuffer(sealed)) continue; // the row is not sealed yet
    const column: SealedColumn = `${meta.tableName}.${meta.properties[field]!.fieldNames[0]!.replace(/_sealed$/, '')}`;
    all[field.slice(0, -SEALED.length)] = textOrBytes(cipher, column, id, sealed);
  }
  return all;
}

/** What somebody has changed behind the application counts by its bytes: it can be overwritten and deleted all the same. */
function textOrBytes(cipher: LearnerCipher, column: SealedColumn, id: string, sealed: Buffer): string | Buffer {
  try {
    return cipher.open(column, id, sealed);
  } catch (error) {
    if (error instanceof SealedDataUnreadable) return sealed;
    throw error;
  }
}

function textOf(value: unknown): string {
  return JSON.stringify(value, function (this: Values, name, part: unknown) {
    const original = this[name]; // before its toJSON, which makes a number of each byte
    if (Buffer.isBuffer(original)) return original.toString('base64');
    return typeof part === 'bigint' ? String(part) : part;
  });
}
