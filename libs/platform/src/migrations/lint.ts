import { isConcurrent, type MigrationFiles, type Script } from './migration-files';
import type { StatementFacts } from './rehearsal';
import { statementsIn } from './sql-statements';
import { squawk, type SquawkFinding } from './squawk';

export interface Finding {
  readonly code: 'MIGRATION_UNSAFE';
  readonly rule: string;
  readonly file: string;
  readonly line: number;
  readonly statement: string;
  readonly why: string;
  readonly safeWay: string;
  /** What the file says, if it does so on purpose. */
  readonly onPurpose?: string;
}

const EXPAND = 'Add beside it what the new release needs, fill it by a .backfill.sql, and remove it in a .contract.sql.';
const VALIDATE = 'Add it `not valid`, and validate it in a `-- step` of its own.';
const CONCURRENTLY = 'Use `create index concurrently` in a `-- step` of its own.';

/** Of squawk's rules those whose own help is not how it is done here. */
const SAFE_WAYS: Record<string, string> = {
  'ban-drop-column': `The release before still reads it. ${EXPAND}`,
  'ban-drop-table': `The release before still reads it. ${EXPAND}`,
  'ban-drop-not-null':
    'The release before may read a null that it does not know. Let it, once no process of the release before runs.',
  'renaming-column': EXPAND,
  'renaming-table': EXPAND,
  'changing-column-type': EXPAND,
  'adding-required-field':
    'The release before does not write it: give it a default, or let it be null until the .contract.sql.',
  'adding-field-with-default': 'Add it without the default, set the default, and fill the rows by a .backfill.sql.',
  'adding-serial-primary-key-field':
    'Build the unique index concurrently in a `-- step` of its own, then `add primary key using index`.',
  'constraint-missing-not-valid': VALIDATE,
  'adding-foreign-key-constraint': VALIDATE,
  'disallowed-unique-constraint':
    'Build the unique index concurrently in a `-- step` of its own, then `add constraint … using index`.',
  'require-concurrent-index-creation': CONCURRENTLY,
  'require-concurrent-index-deletion': 'Use `drop index concurrently if exists` in a `-- step` of its own.',
  'ban-concurrent-index-creation-in-transaction': 'It needs a `-- step` of its own.',
  'transaction-nesting': 'The runner begins and ends transactions: use `-- step`.',
};

/** What only a release later may be done, and may then. */
const OF_CONTRACT = ['ban-drop-column', 'ban-drop-table', 'ban-drop-not-null', 'renaming-column', 'renaming-table'];
const WITH_WAITERS = ['ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'];

/** What the release before calls, reads or may do, beside the tables and columns that squawk knows of. */
const DROPPED =
  /^drop (function|procedure|view|materialized view|policy|type|domain|sequence|schema)(?: if exists)? ([\w."]+)/i;
const TAKEN =
  /^(revoke .* from (?!public\b)|alter (function|procedure|view|materialized view|type|domain|sequence|schema) .* (rename|set schema)\b)/i;

function takesAway({ code }: StatementFacts, all: readonly StatementFacts[]): boolean {
  const [, kind, name] = DROPPED.exec(code) ?? [];
  if (kind === undefined) return TAKEN.test(code);
  const isThereAgain = (text: string) =>
    text
      .replace(/^create (or replace )?/i, '')
      .toLowerCase()
      .startsWith(`${kind} ${name}`.toLowerCase());
  return !all.some((other) => /^create\b/i.test(other.code) && isThereAgain(other.code));
}

/** What is unsafe about a script while the application is in use: by what it did in a rehearsal, and by squawk. */
export async function lintScript(
  script: Script,
  facts: readonly StatementFacts[],
): Promise<{ findings: Finding[]; squawk: boolean }> {
  const isUp = script.file.endsWith('.up.sql');
  const told = await squawkOn(script);
  const ofSquawk = (told ?? [])
    .filter(({ rule }) => isUp || !OF_CONTRACT.includes(rule))
    .map(({ rule, line, message, help }) => {
      const statement = facts.findLast((each) => each.line <= line) ?? facts[0]!;
      return { rule, ...placeOf(statement), why: message, safeWay: SAFE_WAYS[rule] ?? help ?? 'See squawkhq.com/docs.' };
    });
  const own = facts.flatMap((each) => judge(each, facts, isUp || script.file.endsWith('.contract.sql')));
  for (const each of isUp ? facts.filter((one) => takesAway(one, facts)) : []) {
    own.push({
      rule: 'takes-away',
      ...placeOf(each),
      why: 'The release before may still use it.',
      safeWay: 'Leave it, and take it away in a .contract.sql.',
    });
  }
  // One finding for one thing: a scan that squawk has named is named.
  const rest = own.filter(({ rule, line }) => rule !== 'scan-under-lock' || !ofSquawk.some((other) => other.line === line));
  const all = [...ofSquawk, ...rest];
  const each = all.filter(
    ({ rule, line }, index) => all.findIndex((other) => other.rule === rule && other.line === line) === index,
  );
  const findings = each.map((finding): Finding => {
    const onPurpose = script.exceptions.find(({ rule }) => rule === finding.rule)?.reason;
    return { code: 'MIGRATION_UNSAFE', ...finding, ...(onPurpose !== undefined && { onPurpose }) };
  });
  return { findings, squawk: told !== undefined };
}

/** Exceptions that nothing needs. */
export const unusedExceptions = ({ file, exceptions }: Script, findings: readonly Finding[]): string[] =>
  exceptions
    .filter(({ rule }) => !findings.some((each) => each.file === file && each.rule === rule))
    .map(({ rule }) => `${file}: ${rule}`);

/** Each migration can be taken back, and what is contracted as well. */
export function missingWaysBack(files: MigrationFiles): string[] {
  return files.names().flatMap((name) => {
    const missing = files.has(name, 'down') ? [] : [`${name}.down.sql`];
    if (files.has(name, 'contract') && !files.has(name, 'contract.down')) missing.push(`${name}.contract.down.sql`);
    return missing;
  });
}

const placeOf = ({ file, line, code }: StatementFacts) => ({ file, line, statement: code.slice(0, 120) });

function judge(facts: StatementFacts, all: readonly StatementFacts[], isForward: boolean): Omit<Finding, 'code'>[] {
  const found: Omit<Finding, 'code'>[] = [];
  const add = (rule: string, why: string, safeWay: string) => found.push({ rule, ...placeOf(facts), why, safeWay });
  const soFar = all.filter((each) => each.step === facts.step && all.indexOf(each) <= all.indexOf(facts));
  const isHeld = (table: string, modes: string[]) =>
    soFar.some(({ locks }) => locks.some((lock) => lock.table === table && modes.includes(lock.mode)));
  for (const table of facts.rewrites) add('table-rewrite', `It writes all of ${table} anew while nobody may read it.`, EXPAND);
  for (const table of facts.scans.filter((each) => !facts.rewrites.includes(each) && isHeld(each, WITH_WAITERS))) {
    add(
      'scan-under-lock',
      `It reads all of ${table} while others wait for its lock.`,
      `${VALIDATE} For an index: ${CONCURRENTLY}`,
    );
  }
  for (const { table } of facts.locks.filter(({ mode }) => mode === 'RowExclusiveLock')) {
    add('rows-in-migration', `It changes rows of ${table} in one transaction.`, 'Change rows in batches, by a .backfill.sql.');
  }
  const exclusive = new Set(
    soFar.flatMap(({ locks }) => locks).flatMap(({ table, mode }) => (mode === 'AccessExclusiveLock' ? [table] : [])),
  );
  const takesOne = facts.locks.some(({ mode }) => mode === 'AccessExclusiveLock');
  if (isForward && takesOne && exclusive.size > 1) {
    add('many-locks', `By now its step has locked ${[...exclusive].join(', ')} for everybody.`, 'One table in each `-- step`.');
  }
  return found;
}

/** With the lines of the file, and without what stands for the name of a partition. */
async function squawkOn(script: Script): Promise<SquawkFinding[] | undefined> {
  const found: SquawkFinding[] = [];
  for (const inTransaction of [true, false]) {
    const steps = script.steps.filter(
      (step) => isConcurrent(statementsIn(step.text.replaceAll('{}', 'a_partition'))) !== inTransaction,
    );
    const texts = steps.map(({ text, line }) => '\n'.repeat(line - 1) + text.replaceAll('{}', 'a_partition'));
    const told = await squawk(texts, { inTransaction });
    if (!told) return undefined;
    found.push(...told);
  }
  return found;
}
