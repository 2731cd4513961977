import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { statementsIn, type Statement } from './sql-statements';

/** A part of a script that is one transaction, or one statement that takes none. */
export interface Step {
  readonly text: string;
  /** Of its first line in the file. */
  readonly line: number;
  /** A query: the step runs once for each of its answers, with the answer in place of `{}`. For partitions. */
  readonly forEach?: string;
}

/** What a file allows itself, and why. */
export interface Exception {
  readonly rule: string;
  readonly reason: string;
}

export interface Script {
  /** `0001_platform.up.sql` */
  readonly file: string;
  readonly steps: readonly Step[];
  /** A query that says whether all of it has been done by a runner that could not note it. */
  readonly doneWhen?: string;
  readonly exceptions: readonly Exception[];
}

/** How rows that are there already get what the new schema wants of them, while everything runs. */
export interface Backfill {
  readonly file: string;
  readonly line: number;
  readonly table: string;
  /** A unique key, not null: the order in which it goes through the table. */
  readonly keys: readonly string[];
  /** A query that counts what still has to be done. */
  readonly left: string;
  /** One statement; `{batch}` stands for the condition on the keys. */
  readonly statement: string;
}

/** Parts that a migration may have: `<name>.<part>.sql`. */
export const PARTS = ['up', 'down', 'backfill', 'contract', 'contract.down'] as const;

/** Begins a step: it is not one transaction with what stands before it. */
const STEP = /^-- step\b.*$/m;
const DONE_WHEN = /^-- done when: (.*)$/m;
const FOR_EACH = /^-- for each: (.*)$/m;
const EXCEPTION = /^-- unsafe on purpose: ([a-z, -]+): (.+)$/gm;
const THROUGH = /^-- through: ([a-z_]+) \(([a-z_]+(?:, [a-z_]+)*)\)$/m;
const LEFT = /^-- left: (select .*)$/m;
const NAME = /^\d{4}_[a-z0-9_]+$/;

/** The SQL files of a release: `migrations/` beside the project's package.json, in source and when built. */
export class MigrationFiles {
  constructor(readonly folder: string = ownFolder()) {}

  /** The names of all migrations of this release, in order: `0001_platform`. */
  names(): string[] {
    return readdirSync(this.folder)
      .filter((file) => file.endsWith('.up.sql'))
      .map((file) => file.replace('.up.sql', ''))
      .filter((name) => NAME.test(name))
      .sort();
  }

  read(file: string): string {
    return readFileSync(join(this.folder, file), 'utf8');
  }

  has(name: string, part: (typeof PARTS)[number]): boolean {
    return existsSync(join(this.folder, `${name}.${part}.sql`));
  }

  script(name: string, part: Exclude<(typeof PARTS)[number], 'backfill'>): Script {
    const file = `${name}.${part}.sql`;
    const text = this.read(file);
    return {
      file,
      steps: stepsIn(text),
      doneWhen: DONE_WHEN.exec(text)?.[1],
      exceptions: [...text.matchAll(EXCEPTION)].flatMap(([, rules, reason]) =>
        rules!.split(', ').map((rule) => ({ rule, reason: reason! })),
      ),
    };
  }

  /** @throws SyntaxError that says what a file of this kind needs */
  backfill(name: string): Backfill {
    const file = `${name}.backfill.sql`;
    const text = this.read(file);
    const [, table, keys] = THROUGH.exec(text) ?? [];
    const left = LEFT.exec(text)?.[1];
    const statements = statementsIn(text);
    if (!table || !left || statements.length !== 1 || !statements[0]!.code.includes('{batch}')) {
      throw new SyntaxError(
        `${file} needs a line \`-- through: table (key, key)\`, a line \`-- left: select count(*) …\`, and one statement with {batch}`,
      );
    }
    return { file, line: statements[0]!.line, table, keys: keys!.split(', '), left, statement: statements[0]!.text };
  }
}

function stepsIn(text: string): Step[] {
  const [head = '', ...rest] = text.split(STEP);
  const isStep = rest.length === 0 || statementsIn(head).length > 0; // else it only says what the file is for
  let line = isStep ? 1 : head.split('\n').length;
  return (isStep ? [head, ...rest] : rest).map((part) => {
    const step = { text: part, line, forEach: FOR_EACH.exec(part)?.[1] };
    line += part.split('\n').length - 1;
    return step;
  });
}

function ownFolder(): string {
  let folder = __dirname;
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return join(folder, 'migrations');
}

/** What cannot be in a transaction, and stands in nobody's way: it has a step of its own. */
export const isConcurrent = (statements: readonly Statement[]): boolean =>
  statements.length === 1 && /^(create|drop)\b.*\bindex concurrently\b/i.test(statements[0]!.code);

/** Reads a whole table, beside those who write to it (SHARE UPDATE EXCLUSIVE): it may take long. */
export const isValidation = (statements: readonly Statement[]): boolean =>
  statements.length === 1 && /^alter table (if exists )?(only )?[\w.]+ validate constraint \w+$/i.test(statements[0]!.code);

/** The index that a step of its own builds. */
export const builtIndex = ({ code }: Statement): string | undefined =>
  /^create (?:unique )?index concurrently (?:if not exists )?([\w."]+) on\b/i.exec(code)?.[1];
