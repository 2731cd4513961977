import { createPublicKey, type KeyObject } from 'node:crypto';
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import {
  anchorFileOf,
  AuditKeys,
  loadSettings,
  verifyAudit,
  type Settings,
  type VerificationOptions,
  type VerificationResult,
} from '@studently/platform';
import { SingleBar } from 'cli-progress';
import { InvalidArgumentError, type Command } from 'commander';
import { withDatabase } from './with-database';

const FINDINGS = 2;
const url = (settings: Settings) => settings.DATABASE_URL;

interface Options {
  from?: Date;
  to?: Date;
  anchors?: string[];
  publicKey?: KeyObject[];
  json?: boolean;
}

/** studently audit verify | public-key */
export function addAudit(program: Command): void {
  const audit = program
    .command('audit')
    .description('Look after the audit log: who did what, sealed so that a later change is found.')
    .addHelpText('after', '\nExample:\n  npx studently audit verify');

  audit
    .command('verify')
    .description('compare the log with its seals, and name what was edited, deleted, moved or cut off (exit 2 if anything was)')
    .option('--from <time>', 'only what was sealed since then (UTC)', readTime)
    .option('--to <time>', 'only what was sealed before then (UTC)', readTime)
    .option('--anchors <file>', 'anchors kept elsewhere; may be given more than once (default: AUDIT_ANCHOR_FILE)', readable)
    .option(
      '--public-key <file>',
      'PEM of who may have signed; may be given more than once (default: of our own key)',
      readKeys,
    )
    .addHelpText(
      'after',
      '\nExample:\n  npx studently audit verify --anchors /mnt/worm/audit-anchors.jsonl --public-key audit-public-key.pem',
    )
    .action(async (_: Options, command: Command) => verify(command.optsWithGlobals<Options>()));

  audit
    .command('public-key')
    .description('print the public key that verifies the seals, to be kept where the database administrator cannot change it')
    .addHelpText('after', '\nExample:\n  npx studently audit public-key > audit-public-key.pem')
    .action(() => {
      const pem = new AuditKeys(loadSettings()).public.export({ type: 'spki', format: 'pem' }) as string;
      process.stdout.write(program.opts<Options>().json ? `${JSON.stringify({ publicKey: pem })}\n` : pem);
    });
}

async function verify({ from, to, anchors, publicKey, json }: Options): Promise<void> {
  const bar = showProgress(json);
  const result = await withDatabase(url, (target, settings) => {
    const options: VerificationOptions = {
      from,
      to,
      // Ours begins with the first batch. If it is gone later, the verification says that no anchor was found.
      anchorFiles: anchors ?? [anchorFileOf(settings)].filter(existsSync),
      publicKeys: publicKey ?? [new AuditKeys(settings).public],
      progress: bar.update,
    };
    return verifyAudit(target, options);
  }).finally(bar.end);
  process.stdout.write(json ? `${JSON.stringify(result)}\n` : inWords(result));
  if (result.found > 0) process.exitCode = FINDINGS;
}

function inWords({ batches, events, anchors, findings, found }: VerificationResult): string {
  const count = (n: number) => n.toLocaleString('en');
  const lines = findings.map(({ kind, id, batch, ids, detail }) => {
    const what = [id && `event ${id}`, batch && `batch ${batch}`, ids && `events ${ids}`].filter(Boolean).join(', ');
    return `${kind}: ${what ? `${what}: ` : ''}${detail}`;
  });
  if (found > findings.length) lines.push(`and ${count(found - findings.length)} more`);
  lines.push(
    `${count(events)} sealed events in ${count(batches)} batches, ${count(anchors)} anchors, ${count(found)} findings`,
  );
  return `${lines.join('\n')}\n`;
}

/** As ISO 8601 has it, and PostgreSQL: 2026-11-22 08:00:00.123456+00. Without a zone it is UTC, wherever this machine is. */
const TIME = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(?:(Z)|([+-]\d\d):?(\d\d)?)?)?$/;

export function readTime(text: string): Date {
  const [, day, clock = '00:00', , hours, minutes = '00'] = TIME.exec(text) ?? [];
  const time = new Date(`${day}T${clock}${hours === undefined ? 'Z' : `${hours}:${minutes}`}`);
  if (Number.isNaN(time.getTime())) throw new InvalidArgumentError('It is a time: 2026-11-22 or 2026-11-22T08:00:00Z.');
  return time;
}

function readable(file: string, before: string[] = []): string[] {
  try {
    accessSync(file, constants.R_OK);
    return [...before, file];
  } catch (error) {
    throw new InvalidArgumentError(`It is a file that can be read (${(error as Error).message}).`);
  }
}

function readKeys(file: string, before: KeyObject[] = []): KeyObject[] {
  try {
    return [...before, createPublicKey(readFileSync(file))];
  } catch (error) {
    throw new InvalidArgumentError(`It is a file with a public key in PEM (${(error as Error).message}).`);
  }
}

/** On a terminal only. */
function showProgress(json: boolean | undefined) {
  if (json || !process.stderr.isTTY) return { update: () => undefined, end: () => undefined };
  const bar = new SingleBar({
    format: '{bar} {percentage}% | {value} events | {eta_formatted} left',
    gracefulExit: false,
    barsize: 30,
  });
  let started = false;
  return {
    update: (events: number, of: number) => {
      if (!started) bar.start(of, 0);
      started = true;
      bar.update(events);
    },
    end: () => bar.stop(),
  };
}
