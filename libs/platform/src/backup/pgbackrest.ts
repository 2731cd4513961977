import type { Settings } from '../config/config';
import { BackupFault } from './backup-fault';
import type { Backup, BackupList, BackupType, Doing } from './backups';
import { unpackMarker } from './marker';
import { runTool } from './tool';

/** The tool, as this release knows it (2.45): its commands and what it answers. Nothing else speaks to it. */
export class PgBackRest {
  private readonly common: string[];

  constructor(settings: Settings) {
    const { BACKUP_STANZA: stanza, BACKUP_CONFIG: config, BACKUP_KEEP: keep } = settings;
    this.common = [`--stanza=${stanza}`, ...(config ? [`--config=${config}`] : [])];
    this.retention = keep === undefined ? [] : [`--repo1-retention-full=${keep}`];
  }

  private readonly retention: string[];

  /** @throws BackupFault `BACKUP_KEY_WRONG`, `BACKUP_FAILED`; an absent repository is one without backups */
  async info(): Promise<BackupList & { isThere: boolean; segmentBytes: number }> {
    const { code, out, err } = await this.answer('info', ['--output=json']);
    if (code !== 0) throw faultOf('info', code, err);
    const [stanza] = answerOf(out);
    if (!stanza) return { backups: [], isThere: false, segmentBytes: SEGMENT_SIZES[0]! };
    const { code: status, message } = stanza.status;
    const [first] = stanza.repo ?? [];
    // 1: no stanza; 2: no backup yet; 3: another database's
    if (status > 2) throw faultOf('info', status, first?.status.message ?? message);
    const archive = stanza.archive.filter(({ min, max }) => min && max).at(-1);
    return {
      isThere: status !== 1,
      backups: stanza.backup.map(backupOf),
      archive: archive && { first: archive.min!, last: archive.max! },
      segmentBytes: segmentBytesOf(stanza),
    };
  }

  /** Makes the repository's place for this database, if it is not there. */
  async create(): Promise<void> {
    await this.run('stanza-create');
  }

  async backup(type: BackupType, { signal, steps }: Doing): Promise<void> {
    await this.run(
      'backup',
      [`--type=${type}`, '--start-fast', ...this.retention, '--log-level-console=detail'],
      signal,
      progressOf(steps),
    );
  }

  async annotate(label: string, name: string, value: string): Promise<void> {
    await this.run('annotate', [`--set=${label}`, `--annotation=${name}=${value}`]);
  }

  /** Ends the WAL segment and waits until it is in the archive. */
  async pushWal(): Promise<void> {
    await this.run('check');
  }

  /** @returns its report; its exit code is 0 whatever it has found */
  async verify(signal?: AbortSignal): Promise<string> {
    const { code, out, err } = await this.answer('verify', ['--output=text', '--verbose'], signal);
    if (code !== 0) throw faultOf('verify', code, err);
    return out;
  }

  /** @returns the labels that go */
  async expire(dryRun: boolean): Promise<string[]> {
    const lines: string[] = [];
    const options = [...this.retention, '--log-level-console=info', ...(dryRun ? ['--dry-run'] : [])];
    await this.run('expire', options, undefined, (line) => lines.push(line));
    return lines
      .flatMap((line) => /remove expired backup (\S+)|expire \w+ backup(?: set)? (.+)$/.exec(line)?.slice(1) ?? [])
      .flatMap((found) => found?.split(', ') ?? [])
      .filter((label, index, all) => /^\d{8}-/.test(label) && all.indexOf(label) === index);
  }

  /** Names of all WAL segments in the archive, in their order. */
  async segments(): Promise<string[]> {
    const stanza = this.common[0]!.replace('--stanza=', '');
    const { code, out, err } = await this.answer('repo-ls', ['--output=json', '--recurse', `archive/${stanza}`]);
    if (code !== 0) throw faultOf('repo-ls', code, err);
    const names = Object.keys(JSON.parse(out) as object).map(
      (path) => /\/([0-9A-F]{24})-[0-9a-f]{40}(\.\w+)?$/.exec(path)?.[1],
    );
    return names.filter((name) => name !== undefined).sort();
  }

  /** Into a folder that is there and empty; `options` say how far. */
  async restore(folder: string, options: string[], { signal, steps }: Doing): Promise<void> {
    const all = [`--pg1-path=${folder}`, '--archive-mode=off', '--log-level-console=detail', ...options];
    await this.run('restore', all, signal, progressOf(steps));
  }

  private async run(
    command: string,
    options: string[] = [],
    signal?: AbortSignal,
    onLine: (line: string) => void = () => undefined,
  ) {
    const { code, err } = await this.answer(command, options, signal, onLine);
    if (code !== 0) throw faultOf(command, code, err);
  }

  private answer(command: string, options: string[], signal?: AbortSignal, onLine?: (line: string) => void) {
    const level = options.some((option) => option.startsWith('--log-level-console')) ? [] : ['--log-level-console=off'];
    return runTool('pgbackrest', [command, ...this.common, ...level, '--log-level-stderr=warn', ...options], {
      signal,
      onLine,
    });
  }
}

/** What it reads with a wrong passphrase it puts into its answer as it is, control characters too. */
function answerOf(json: string): Stanza[] {
  try {
    return JSON.parse(json) as Stanza[];
  } catch {
    throw faultOf('info', null, json);
  }
}

const progressOf =
  (steps: Doing['steps']) =>
  (line: string): void => {
    const share = /(?:backup|restore) file .*\(\S+, ([\d.]+)%\)/.exec(line)?.[1];
    if (share !== undefined) steps?.('files', Number(share) / 100);
  };

interface Stanza {
  status: { code: number; message: string };
  repo?: { status: { code: number; message: string } }[];
  archive: { min: string | null; max: string | null }[];
  backup: {
    label: string;
    type: BackupType;
    timestamp: { start: number; stop: number };
    info: { size: number; repository: { delta: number } };
    reference: string[] | null;
    lsn: { start: string };
    archive: { start: string };
    annotation?: Record<string, string>;
  }[];
}

const isoOf = (seconds: number) => new Date(1000 * seconds).toISOString();

const backupOf = ({ label, type, timestamp, info, reference, archive, annotation }: Stanza['backup'][number]): Backup => ({
  label,
  type,
  startedAt: isoOf(timestamp.start),
  endedAt: isoOf(timestamp.stop),
  size: info.size,
  stored: info.repository.delta,
  needs: reference ?? [],
  firstSegment: archive.start,
  marker: annotation?.[MARKER] === undefined ? undefined : unpackMarker(annotation[MARKER]),
});

/** The annotation that holds a marker. */
export const MARKER = 'studently-marker';

/** What is known to go wrong, by the tool's words; anything else is told in its own, without bytes that are no text. */
function faultOf(command: string, code: number | null, text: string): BackupFault {
  if (/\[28\]|No space left on device/.test(text))
    return new BackupFault('BACKUP_DISK_FULL', 'The disk is full: make room and run it again.');
  if (/\[122\] Disk quota/.test(text)) return new BackupFault('BACKUP_DISK_FULL', 'The disk quota is used up.');
  if (code === 50 || /is another pgBackRest process running/.test(text)) {
    return new BackupFault('BACKUP_BUSY', 'Another backup runs, or its files are being removed: wait until it has ended.');
  }
  if (code === 40)
    return new BackupFault(
      'BACKUP_TARGET_NOT_EMPTY',
      'The target holds files: name an empty folder, or one that is not there.',
    );
  const isInfo = /(backup|archive)\.info/.test(text);
  if (isInfo && /FormatError|CryptoError|cipher header invalid/.test(text)) {
    return new BackupFault(
      'BACKUP_KEY_WRONG',
      'The repository does not open with this passphrase: look at repo1-cipher-type and repo1-cipher-pass in the configuration of pgBackRest.',
    );
  }
  if (code === 75 || (isInfo && /FileMissingError|unable to open missing file/.test(text))) {
    return new BackupFault(
      'BACKUP_NONE',
      'The repository is not there, or holds no backup: look at repo1-path, or run: npx studently backup run',
    );
  }
  if (command === 'restore' && /checksum|FormatError|CryptoError|FileMissingError|unable to open missing file/.test(text)) {
    return new BackupFault(
      'BACKUP_DAMAGED',
      'A file of the backup is damaged or gone: run `npx studently backup check`, and restore an older backup.',
    );
  }
  const said = /ERROR: .*/.exec(text)?.[0] ?? `pgbackrest ${command} ended with ${code}`;
  return new BackupFault('BACKUP_FAILED', said.replace(/[^\x20-\x7e]/g, '?').slice(0, 500));
}

/**
 * What `verify` says that is not as it should be, in words. A file that is damaged in a full backup is told for each backup that uses it.
 */
export function findingsOf(report: string): string[] {
  const findings: string[] = [];
  let what = 'the repository';
  for (const line of report.split('\n')) {
    const named = /^\s+(backup: [^,]+|archiveId: [^,]+)/.exec(line)?.[1];
    if (named) what = named.startsWith('backup') ? named.replace(':', '') : 'the WAL archive';
    const counts = [...line.matchAll(/(missing|checksum invalid|size invalid|other): ([1-9]\d*)/g)];
    findings.push(...counts.map(([, kind, count]) => `${what}: ${count} files ${WORDS[kind!]}`));
    if (/^\s+No usable/.test(line)) findings.push(line.trim());
  }
  if (findings.length === 0 && !/^status: ok$/m.test(report))
    findings.push('the repository: pgBackRest does not say that it is well');
  return findings;
}

const WORDS: Record<string, string> = {
  missing: 'are gone',
  'checksum invalid': 'are not what they were (their checksum is another)',
  'size invalid': 'have another size',
  other: 'cannot be read',
};

const SEGMENT = /^([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})$/;

/** 16 MB unless initdb was told otherwise. */
const SEGMENT_SIZES = [16, 1, 2, 4, 8, 32, 64, 128, 256, 512, 1024].map((megabytes) => megabytes * 2 ** 20);

/** Told by where a backup began: its LSN, and the segment that this was in. */
const segmentBytesOf = ({ backup: [first] }: Stanza): number =>
  SEGMENT_SIZES.find((bytes) => first && segmentAt(first.lsn.start, bytes) === first.archive.start.slice(8)) ??
  SEGMENT_SIZES[0]!;

/**
 * Where `segmentBytes` long segments are missing between the first and the last of a timeline, or before them, where a backup begins.
 * @param firsts the segment that each backup begins with, the oldest first: those before are not looked at
 */
export function gapsIn(segments: readonly string[], segmentBytes: number, firsts: readonly string[]): string[] {
  const perLog = 2n ** 32n / BigInt(segmentBytes);
  const numberOf = (name: string) => {
    const [, , log, segment] = SEGMENT.exec(name)!;
    return BigInt(`0x${log}`) * perLog + BigInt(`0x${segment}`);
  };
  const gaps: string[] = [];
  const from = segments.filter((name) => name >= firsts[0]!);
  const isBefore = (name: string, first: string) => name.slice(0, 8) === first.slice(0, 8) && name <= first;
  for (const first of new Set(firsts.filter((each) => !from.some((name) => isBefore(name, each))))) {
    gaps.push(`the WAL archive: ${first} is gone, with which a backup begins`);
  }
  from.forEach((name, index) => {
    const before = from[index - 1];
    if (before === undefined || before.slice(0, 8) !== name.slice(0, 8)) return;
    const missing = numberOf(name) - numberOf(before) - 1n;
    if (missing > 0n)
      gaps.push(
        `the WAL archive: ${missing} segment${missing > 1n ? 's' : ''} after ${before} ${missing > 1n ? 'are' : 'is'} gone`,
      );
  });
  return gaps;
}

/** The name, without its timeline, of the segment that an LSN lies in. */
export function segmentAt(lsn: string, segmentBytes: number): string {
  const [log, offset] = lsn.split('/').map((part) => BigInt(`0x${part}`));
  const hex = (value: bigint) => value.toString(16).toUpperCase().padStart(8, '0');
  return hex(log!) + hex(offset! / BigInt(segmentBytes));
}
