/** Something that a learner has asked to be written, under one Idempotency-Key however often it was sent. */
export interface Write {
  kind: string;
  /** The request id of all its requests; the row bears it as well, where it can be read. */
  name: string;
  /** The id that was acknowledged; undefined: no answer came, and nobody asked again. */
  id?: string;
}

/** A row that is in the database afterwards. */
export interface Row {
  kind: string;
  /** Of the write that it says it is of; null: of none. */
  name: string | null;
  id: string;
  /** What audit events about it name. */
  subject: string;
  /** How often that has happened which it sets off in the background; null: it sets nothing off. */
  effects: number | null;
}

/** What the audit log says was written. */
export interface AuditEvent {
  kind: string;
  name: string | null;
  subject: string;
}

/**
 * What is not as it was acknowledged, in words; empty: nothing. Each acknowledged write is there once, one that was given up once or not
 * at all, and nothing else is; each row has one event and each event its row; what a row sets off has happened once.
 */
export function findFaults(writes: readonly Write[], rows: readonly Row[], events: readonly AuditEvent[]): string[] {
  const [rowsOf, eventsOf] = [Map.groupBy(rows, keyOf), Map.groupBy(events, keyOf)];
  const known = new Set(writes.map(keyOf));
  return [
    ...writes.flatMap((write) => faultsOf(write, rowsOf.get(keyOf(write)) ?? [], eventsOf.get(keyOf(write)) ?? [])),
    ...rows.filter((row) => !known.has(keyOf(row))).map((row) => `${row.kind} ${row.id}: nobody has written it`),
    ...events
      .filter((event) => !known.has(keyOf(event)))
      .map(({ kind, subject }) => `${kind} ${subject}: an event of no write`),
    ...rows
      .filter(({ effects }) => effects !== null && effects !== 1)
      .map(({ kind, id, effects }) => `${kind} ${id}: ${effects} effects`),
  ];
}

const keyOf = ({ kind, name }: { kind: string; name: string | null }) => `${kind} ${name}`;

function faultsOf({ kind, name, id }: Write, rows: readonly Row[], events: readonly AuditEvent[]): string[] {
  const faults: string[] = [];
  const [row] = rows;
  if (rows.length > 1) faults.push(`is there ${rows.length} times`);
  if (id !== undefined && !row) faults.push('is lost');
  if (id !== undefined && row && rows.every((each) => each.id !== id))
    faults.push(`was acknowledged as ${id}, and is ${row.id}`);
  if (events.length !== rows.length) faults.push(`has ${rows.length} rows and ${events.length} audit events`);
  else if (events.some(({ subject }, at) => subject !== rows[at]!.subject))
    faults.push('has an audit event about something else');
  return faults.map((fault) => `${kind} ${name} ${fault}`);
}
