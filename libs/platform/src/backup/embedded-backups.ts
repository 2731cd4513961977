import { spawn } from 'node:child_process';
import { createSecretKey, randomBytes, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { constants } from 'node:fs';
import { cp, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import { ConfigurationError, type Settings } from '../config/config';
import { reachEmbeddedPostgres, startEmbeddedPostgres } from '../embedded/embedded-postgres';
import { createOnce, makeFolder, syncFolder, syncTree } from '../security/keys/durable-files';
import { BackupFault } from './backup-fault';
import type { Backup, BackupList, Backups, BackupType, Doing, Point, Rehearsal, Restored } from './backups';
import { expectEmpty, inEmptyFolder, megabytes, ownFolder } from './folders';
import { currentState, type Marker } from './marker';
import { openBody, readHeader, verifySealed, writeSealed } from './sealed-file';
import { interrupted } from './tool';

const SUFFIX = '.backup';
const KEEP = 7;

const labelOf = (at: Date) => `${at.toISOString().replace(/[-:Z]/g, '').replace(/[T.]/g, '-')}F`;
const LABEL = /^(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)-(\d{3})F$/;

type Marked = Backup & { marker: Marker };

/** Backups of an embedded database: each is the whole data folder at one moment, as one encrypted file. There is no WAL archive. */
export class EmbeddedBackups implements Backups {
  private readonly folder: string;

  constructor(private readonly settings: Settings) {
    this.folder = settings.BACKUP_DIR ?? join(settings.STUDENTLY_DATA_DIR, 'backups');
  }

  async list(): Promise<BackupList> {
    return { backups: await this.backups() };
  }

  async plan(type: BackupType): Promise<string> {
    expectFull(type);
    return `A backup of all of ${this.settings.STUDENTLY_DATA_DIR}/postgres to ${this.folder}, and what is too old is removed.`;
  }

  async run(type: BackupType, doing: Doing = {}): Promise<Backup> {
    expectFull(type);
    const startedAt = new Date();
    const copy = ownFolder(this.settings.STUDENTLY_DATA_DIR, 'backup-copy');
    try {
      const marker = await this.copyTo(copy, doing);
      const size = await sizeOf(copy);
      const label = await this.nextLabel(startedAt);
      const header = { label, type, startedAt: startedAt.toISOString(), endedAt: marker.at, size, needs: [], marker };
      const stored = await this.write(label, header, copy, doing);
      await this.expire(false);
      return { ...header, stored };
    } finally {
      await rm(copy, { recursive: true, force: true });
    }
  }

  async check({ signal, steps }: Doing = {}): Promise<string[]> {
    const findings: string[] = [];
    const labels = await this.labels();
    for (const [index, label] of labels.entries()) {
      steps?.('reading', index / labels.length);
      await verifySealed(this.fileOf(label), await this.key(), signal).catch((error: unknown) => {
        if (!(error instanceof BackupFault) || error.code !== 'BACKUP_DAMAGED') throw error;
        findings.push(error.message);
      });
    }
    if (labels.length === 0) throw none();
    return findings;
  }

  /** Counts only what can be restored: damaged ones would push out the last that is whole. */
  async expire(dryRun: boolean): Promise<string[]> {
    const labels = await this.labels();
    const keep = this.settings.BACKUP_KEEP ?? KEEP;
    if (labels.length <= keep) return [];
    let [first, whole] = [labels.length, 0];
    while (first > 0 && whole < keep) if (await this.isWhole(labels[--first]!)) whole++;
    const old = labels.slice(0, first);
    if (!dryRun) for (const label of old) await rm(this.fileOf(label), { force: true }); // another run may be at it
    return old;
  }

  async planRestore(point: Point, target: string): Promise<string> {
    const { label, size } = await this.at(point);
    expectEmpty(target, size);
    return `Restore ${megabytes(size)} of ${label} to ${target}.`;
  }

  async restore(point: Point, target: string, doing: Doing = {}): Promise<Restored> {
    const started = performance.now();
    const { label, size, endedAt } = await this.at(point);
    expectEmpty(target, size);
    await verifySealed(this.fileOf(label), await this.key(), doing.signal); // nothing is written that is not whole
    return inEmptyFolder(target, async (folder) => {
      await this.unpack(label, folder, doing);
      const seconds = (performance.now() - started) / 1000;
      const advice =
        `Copy the keys beside it (master.key and keys, or what MASTER_KEY_FILE and KEYS_DIR name; audit-signing-key.pem and ` +
        `audit-anchors.jsonl as well), and start it: STUDENTLY_DATA_DIR=${folder} npm start`;
      return { target: folder, label, lastTransaction: endedAt, seconds, bytes: size, advice };
    });
  }

  async rehearse(folder: string, doing: Doing = {}): Promise<Rehearsal> {
    const backup = (await this.backups()).at(-1);
    if (!backup) throw none();
    expectEmpty(folder, backup.size);
    await verifySealed(this.fileOf(backup.label), await this.key(), doing.signal);
    await this.unpack(backup.label, folder, doing);
    const { target, ...embedded } = await startEmbeddedPostgres(folder);
    return {
      backup,
      atMarker: target,
      toEnd: () => Promise.resolve({ target, lastTransaction: backup.endedAt }),
      stop: () => embedded.stop(),
    };
  }

  /** Everybody else waits meanwhile: an embedded database has one session, and between a checkpoint and the end of the transaction its files rest. */
  private async copyTo(copy: string, { steps }: Doing): Promise<Marker> {
    const embedded = await reachEmbeddedPostgres(this.settings.STUDENTLY_DATA_DIR);
    const found = { at: '', xid: '', lsn: '' };
    try {
      steps?.('copying');
      const state = await currentState(embedded.target, async (client) => {
        const place = `select pg_current_wal_lsn()::text as lsn, pg_snapshot_xmax(pg_current_snapshot())::text as xid`;
        Object.assign(found, { at: new Date().toISOString() }, (await client.query(place)).rows[0]);
        await client.query('checkpoint');
        await cp(join(this.settings.STUDENTLY_DATA_DIR, 'postgres'), copy, {
          recursive: true,
          mode: constants.COPYFILE_FICLONE,
        });
      });
      return { ...found, ...state };
    } finally {
      await embedded.stop();
    }
  }

  /** @returns its size */
  private async write(label: string, header: object, copy: string, { signal, steps }: Doing): Promise<number> {
    steps?.('encrypting');
    await makeFolder(this.folder);
    const folder = ownFolder(this.folder, 'unfinished');
    const unfinished = join(folder, label);
    const tar = spawn('tar', ['-C', copy, '-cf', '-', '.'], { stdio: ['ignore', 'pipe', 'ignore'] });
    const ended = once(tar, 'close');
    try {
      await writeSealed(unfinished, await this.key(), header, tar.stdout.pipe(createGzip({ level: 1 })), signal);
      if ((await ended)[0] !== 0) throw new BackupFault('BACKUP_FAILED', 'tar could not read the copy of the data folder.');
      const { size } = await stat(unfinished);
      await rename(unfinished, this.fileOf(label));
      await syncFolder(this.folder);
      return size;
    } catch (error) {
      tar.kill();
      throw faultOf(error, signal);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** The data is in its place only when all of it is there: nobody starts on what a killed restore has left. */
  private async unpack(label: string, folder: string, { signal, steps }: Doing): Promise<void> {
    steps?.('unpacking');
    const data = join(folder, 'postgres.unfinished');
    await mkdir(data, { mode: 0o700 });
    const tar = spawn('tar', ['-C', data, '-xf', '-'], { stdio: ['pipe', 'ignore', 'pipe'] });
    let said = '';
    tar.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const ended = once(tar, 'close');
    const piped = pipeline(openBody(this.fileOf(label), await this.key()), createGunzip(), tar.stdin, { signal });
    const [result] = await Promise.allSettled([piped, ended]);
    if (/No space left/.test(said)) throw new BackupFault('BACKUP_DISK_FULL', 'The disk is full: make room and run it again.');
    if (result.status === 'rejected' && !hasEnough(tar.exitCode, result.reason)) throw faultOf(result.reason, signal);
    if (tar.exitCode !== 0) throw new BackupFault('BACKUP_FAILED', 'tar could not unpack the backup.');
    await syncTree(data).catch(() => {
      throw new BackupFault('BACKUP_FAILED', 'sync could not bring what was unpacked to the disk.');
    });
    await rename(data, join(folder, 'postgres'));
    await syncFolder(folder);
  }

  private async backups(): Promise<Marked[]> {
    const backups: Marked[] = [];
    for (const label of await this.labels()) {
      const backup = await this.read(label).catch((error: unknown) => {
        if (error instanceof BackupFault && error.code === 'BACKUP_DAMAGED') return undefined; // `check` tells
        throw error;
      });
      if (backup) backups.push(backup);
    }
    return backups;
  }

  private async read(label: string): Promise<Marked> {
    const header = readHeader(this.fileOf(label), await this.key()) as Omit<Marked, 'stored'>;
    return { ...header, stored: (await stat(this.fileOf(label))).size };
  }

  private async isWhole(label: string): Promise<boolean> {
    try {
      await verifySealed(this.fileOf(label), await this.key());
      return true;
    } catch (error) {
      if (error instanceof BackupFault || (error as NodeJS.ErrnoException).code === 'ENOENT') return false;
      throw error;
    }
  }

  private async at(point: Point): Promise<Backup> {
    const labels = await this.labels();
    if (labels.length === 0) throw none();
    if (point.kind === 'name') {
      if (labels.includes(point.name)) return this.read(point.name);
      throw new BackupFault('BACKUP_POINT_UNREACHABLE', 'There is no backup of this name: npx studently backup list');
    }
    const backups = await this.backups();
    const found = point.kind === 'latest' ? backups.at(-1) : backups.findLast(({ endedAt }) => new Date(endedAt) <= point.at);
    if (!found)
      throw new BackupFault(
        'BACKUP_POINT_UNREACHABLE',
        `The oldest backup is of ${backups[0]?.endedAt ?? 'no time'}: see npx studently backup list`,
      );
    return found;
  }

  /** By the time; later than all that are there, also where the clock was put back: by its label the oldest is known, and goes first. */
  private async nextLabel(at: Date): Promise<string> {
    const latest = (await this.labels()).at(-1) ?? '';
    const after = Date.parse(latest.replace(LABEL, '$1-$2-$3T$4:$5:$6.$7Z')) + 1;
    return labelOf(new Date(Math.max(at.getTime(), after || 0)));
  }

  /** The oldest first. */
  private async labels(): Promise<string[]> {
    const names = await readdir(this.folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    });
    return names
      .filter((name) => name.endsWith(SUFFIX))
      .map((name) => name.slice(0, -SUFFIX.length))
      .sort();
  }

  private fileOf(label: string): string {
    return join(this.folder, label + SUFFIX);
  }

  /** That of the settings, else one of the data folder's own. */
  private async key(): Promise<KeyObject> {
    const { BACKUP_KEY, STUDENTLY_DATA_DIR: data } = this.settings;
    if (BACKUP_KEY) return createSecretKey(BACKUP_KEY, 'hex');
    const file = join(data, 'backup.key');
    await createOnce(file, () => `${randomBytes(32).toString('hex')}\n`);
    const text = (await readFile(file, 'utf8')).trim();
    if (/^[0-9a-f]{64}$/i.test(text)) return createSecretKey(text, 'hex');
    throw new ConfigurationError(
      'BACKUP_KEY_UNUSABLE',
      `${file} is no key: 64 hexadecimal digits, as openssl rand -hex 32 makes them.`,
    );
  }
}

/** tar ends at the end of its archive, perhaps before it has been handed all of the padding behind it. */
const hasEnough = (exitCode: number | null, error: unknown): boolean =>
  exitCode === 0 && ['ERR_STREAM_PREMATURE_CLOSE', 'EPIPE'].includes((error as NodeJS.ErrnoException).code ?? '');

function faultOf(error: unknown, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted) return interrupted();
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOSPC' || code === 'EDQUOT'
    ? new BackupFault('BACKUP_DISK_FULL', 'The disk is full: make room and run it again.')
    : error;
}

const none = () => new BackupFault('BACKUP_NONE', 'There is no backup yet: npx studently backup run');

function expectFull(type: BackupType): void {
  if (type === 'full') return;
  throw new BackupFault('BACKUP_FAILED', 'A backup of an embedded database is always of all of it: --type full');
}

async function sizeOf(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const sizes = entries
    .filter((entry) => entry.isFile())
    .map(async ({ parentPath, name }) => (await stat(join(parentPath, name))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
