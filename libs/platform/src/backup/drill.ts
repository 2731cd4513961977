import { sign, verify, type KeyObject } from 'node:crypto';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AuditKeys, keyIdOf } from '../audit/signing-key';
import { ConfigurationError, type Settings } from '../config/config';
import type { DatabaseTarget } from '../persistence/connection';
import { openConnection } from '../persistence/open-connection';
import { replaceFile } from '../security/keys/durable-files';
import { BackupFault } from './backup-fault';
import type { Backups, Doing } from './backups';
import { checkCopy, reasonOf, type Check } from './copy-checks';
import { ownFolder } from './folders';
import { currentState, differencesFrom } from './marker';

export interface DrillReport {
  format: 'studently drill 1';
  /** ISO 8601, UTC. */
  startedAt: string;
  endedAt: string;
  ok: boolean;
  backup?: { label: string; type: string; endedAt: string; bytes: number; markerAt: string };
  /** The last transaction that was replayed. */
  lastTransaction?: string;
  /** Recovery time: from nothing to a server that serves all there is, without the checks between. In seconds, as the next. */
  rtoSeconds?: number;
  /** Recovery point: how old the oldest change can have been that was not in the archive when the drill began. */
  rpoSeconds?: number;
  /** All of the drill. */
  seconds: number;
  tables?: number;
  rows?: number;
  checks: Check[];
}

export interface DrillResult {
  report: DrillReport;
  /** The signed report; beside it the same in words, as .txt. */
  file: string;
  /** Why it could not be restored at all. */
  fault?: BackupFault;
}

const folderOf = (settings: Settings) => join(settings.STUDENTLY_DATA_DIR, 'drills');
const secondsSince = (started: number) => (performance.now() - started) / 1000;

/**
 * Proves the latest backup: restores it beside everything else, compares it with its marker, goes on to the end of the archive, checks the
 * copy, and removes it. The report is signed by the key that signs the audit log.
 * @param source the database that was backed up; it need not be there
 */
export async function drill(
  backups: Backups,
  settings: Settings,
  source: DatabaseTarget | undefined,
  doing: Doing = {},
): Promise<DrillResult> {
  const keys = new AuditKeys(settings);
  const startedAt = new Date();
  const started = performance.now();
  const folder = ownFolder(tmpdir(), 'studently-drill');
  const report: DrillReport = {
    format: 'studently drill 1',
    startedAt: startedAt.toISOString(),
    endedAt: '',
    ok: false,
    seconds: 0,
    checks: [],
  };
  let fault: BackupFault | undefined;
  try {
    const notArchived = source && (await ageOfUnarchived(source));
    await rehearse(backups, settings, keys, folder, report, doing);
    report.rpoSeconds = notArchived ?? ageAt(startedAt, report.lastTransaction);
    report.ok = report.checks.every(({ ok }) => ok);
  } catch (error) {
    if (doing.signal?.aborted || error instanceof ConfigurationError) throw error;
    // A copy that does not even start is no proof either, and the report says so.
    fault =
      error instanceof BackupFault ? error : new BackupFault('BACKUP_FAILED', `The copy is of no use: ${reasonOf(error)}`);
    report.checks.push({ name: 'restore', ok: false, detail: `${fault.code}: ${fault.message}` });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  report.endedAt = new Date().toISOString();
  report.seconds = secondsSince(started);
  return { report, fault, file: await keep(report, settings, keys.signing) };
}

async function rehearse(
  backups: Backups,
  settings: Settings,
  keys: AuditKeys,
  folder: string,
  report: DrillReport,
  doing: Doing,
): Promise<void> {
  const restoring = performance.now();
  const rehearsal = await backups.rehearse(folder, doing);
  try {
    const { label, type, endedAt, size, marker } = rehearsal.backup;
    report.backup = { label, type, endedAt, bytes: size, markerAt: marker.at };
    const restoreSeconds = secondsSince(restoring);
    doing.steps?.('comparing every row with the marker');
    const differences = await currentState(rehearsal.atMarker).then(
      (state) => differencesFrom(marker, state),
      (error: unknown) => [`cannot be compared: ${reasonOf(error)}`],
    );
    const states = Object.values(marker.tables);
    report.tables = states.length;
    report.rows = states.reduce((sum, { rows }) => sum + rows, 0);
    const same = `${report.rows.toLocaleString('en')} rows in ${report.tables} tables are those of ${marker.at}`;
    report.checks.push({
      name: 'marker',
      ok: differences.length === 0,
      detail: differences.length === 0 ? same : differences.join('; '),
    });
    const replaying = performance.now();
    const { target, lastTransaction } = await rehearsal.toEnd();
    report.rtoSeconds = restoreSeconds + secondsSince(replaying);
    report.lastTransaction = lastTransaction ?? marker.at;
    const sealedBefore = new Date(report.lastTransaction);
    report.checks.push(
      ...(await checkCopy(target, settings, keys, sealedBefore, (what) => doing.steps?.(`checking: ${what}`))),
    );
  } finally {
    await rehearsal.stop();
  }
}

/** @returns undefined where that cannot be told */
async function ageOfUnarchived(source: DatabaseTarget): Promise<number | undefined> {
  try {
    const client = await openConnection(source);
    try {
      const { rows } = await client.query<{ seconds: number | null }>(`
        select case when pg_walfile_name(pg_current_wal_insert_lsn() - 256) <= last_archived_wal then 0
          else extract(epoch from clock_timestamp() - last_archived_time)::float8 end as seconds
        from pg_stat_archiver where last_archived_wal is not null`);
      return rows[0]?.seconds ?? undefined;
    } finally {
      await client.end();
    }
  } catch {
    return undefined; // it is away: what was archived tells
  }
}

const ageAt = (time: Date, lastTransaction: string | undefined) =>
  lastTransaction === undefined ? undefined : Math.max(0, (time.getTime() - Date.parse(lastTransaction)) / 1000);

const signedBytes = (report: DrillReport) => Buffer.from(JSON.stringify(report));

async function keep(report: DrillReport, settings: Settings, key: KeyObject): Promise<string> {
  const folder = folderOf(settings);
  const file = join(folder, `drill-${report.startedAt.replace(/[:.]/g, '-')}.json`);
  const signature = sign(null, signedBytes(report), key).toString('base64');
  await replaceFile(file.replace(/json$/, 'txt'), `${reportInWords(report)}\n`);
  await replaceFile(file, `${JSON.stringify({ report, key: keyIdOf(new AuditKeys(settings).public), signature })}\n`);
  return file;
}

/** The latest drill that went well, by its signed report; undefined: none. What is not signed by our key does not count. */
export const lastProven = (settings: Settings): DrillReport | undefined => lastDrill(settings, ({ ok }) => ok);

/** The latest drill of those that are wanted, however it went. */
export function lastDrill(
  settings: Settings,
  isWanted: (report: DrillReport) => boolean = () => true,
): DrillReport | undefined {
  const folder = folderOf(settings);
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return undefined;
  }
  const key = new AuditKeys(settings).public;
  for (const name of names
    .filter((each) => each.endsWith('.json'))
    .sort()
    .reverse()) {
    const report = readReport(join(folder, name), key);
    if (report && isWanted(report)) return report;
  }
  return undefined;
}

/** @returns undefined if it is none, or not signed by that key */
export function readReport(file: string, key: KeyObject): DrillReport | undefined {
  try {
    const { report, signature } = JSON.parse(readFileSync(file, 'utf8')) as { report: DrillReport; signature: string };
    return verify(null, signedBytes(report), key, Buffer.from(signature, 'base64')) ? report : undefined;
  } catch {
    return undefined;
  }
}

export function reportInWords({
  backup,
  checks,
  ok,
  rtoSeconds,
  rpoSeconds,
  seconds,
  lastTransaction,
  startedAt,
}: DrillReport): string {
  const inSeconds = (value: number | undefined) => (value === undefined ? 'not known' : `${value.toFixed(1)} s`);
  const width = Math.max(...checks.map(({ name }) => name.length));
  return [
    `Drill of ${startedAt}: ${ok ? 'the backup is proven' : 'NOT PROVEN'}`,
    ...(backup
      ? [`Backup ${backup.label} (${backup.type}), ${(backup.bytes / 1e6).toFixed(1)} MB, ended at ${backup.endedAt}`]
      : []),
    ...(lastTransaction ? [`Replayed up to ${lastTransaction}`] : []),
    `RTO ${inSeconds(rtoSeconds)}, RPO ${inSeconds(rpoSeconds)}; the drill took ${inSeconds(seconds)}`,
    ...checks.map(({ name, ok: isOk, detail }) => `${isOk ? 'ok    ' : 'FAILED'}  ${name.padEnd(width)}  ${detail}`),
  ].join('\n');
}
