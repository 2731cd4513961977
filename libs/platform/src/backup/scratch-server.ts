import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { DatabaseTarget } from '../persistence/connection';
import { BackupFault } from './backup-fault';
import { giveAway, ownFolder } from './folders';
import { segmentAt } from './pgbackrest';
import { interrupted, runTool, startTool } from './tool';

/** How far recovery has come when `start` returns. */
export type Stand = 'paused' | 'ended';

interface Control {
  segmentBytes: number;
  /** A standby has to allow for as much as its primary did. */
  limits: Record<string, string>;
}

const LIMITS = {
  max_connections: 'max_connections setting',
  max_worker_processes: 'max_worker_processes setting',
  max_wal_senders: 'max_wal_senders setting',
  max_prepared_transactions: 'max_prepared_xacts setting',
  max_locks_per_transaction: 'max_locks_per_xact setting',
};

const MOST_LINES = 2000;

/**
 * PostgreSQL on a restored data folder, for this process alone: it listens on a socket in a folder of its own, archives nothing, takes
 * nothing from the configuration of the server that was backed up, and ends with this process.
 */
export class ScratchServer {
  private child?: ChildProcess;
  private log: string[] = [];

  private constructor(
    private readonly data: string,
    private readonly bin: string,
    private readonly run: string,
    private readonly control: Control,
  ) {}

  static async on(data: string, bin: string): Promise<ScratchServer> {
    const { code, out } = await runTool(join(bin, 'pg_controldata'), [data]);
    if (code !== 0)
      throw new BackupFault('BACKUP_FAILED', 'The restored folder is none of PostgreSQL: pg_controldata cannot read it.');
    const value = (name: string) => new RegExp(`^${name}: +(\\d+)`, 'm').exec(out)?.[1] ?? '';
    const limits = Object.fromEntries(Object.entries(LIMITS).map(([setting, name]) => [setting, value(name)]));
    const run = ownFolder(tmpdir(), 'studently-run');
    const files = { 'postgresql.conf': '', 'pg_hba.conf': 'local all all trust\n' };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(run, name), text);
    giveAway(run, ...Object.keys(files).map((name) => join(run, name)));
    return new ScratchServer(data, bin, run, { segmentBytes: Number(value('Bytes per WAL segment')), limits });
  }

  /** @param settings of recovery. @throws BackupFault if recovery ends before it has reached what it was to reach */
  async start(settings: Record<string, string> = {}, signal?: AbortSignal): Promise<Stand> {
    const all = { ...this.settings(), ...settings };
    const options = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    this.log = [];
    const child = startTool(join(this.bin, 'postgres'), ['-D', this.data, ...options]);
    this.child = child;
    child.stdout!.resume();
    const lines = createInterface({ input: child.stderr! });
    const end = () => child.kill('SIGINT');
    signal?.addEventListener('abort', end, { once: true });
    try {
      const stand = await new Promise<Stand | undefined>((resolve) => {
        lines.on('line', (line) => {
          if (this.log.push(line) > MOST_LINES) this.log.splice(0, MOST_LINES / 2);
          if (/database system is ready to accept connections/.test(line)) resolve('ended');
          if (/pausing at the end of recovery|recovery has paused/.test(line)) resolve('paused');
        });
        child.once('error', () => resolve(undefined));
        child.once('close', () => resolve(undefined));
      });
      if (signal?.aborted) throw interrupted();
      if (stand === undefined) throw this.faultOf();
      return stand;
    } finally {
      signal?.removeEventListener('abort', end);
    }
  }

  /** The database of that name, as the superuser. */
  target(database: string): DatabaseTarget {
    return {
      url: `postgres://postgres@localhost:5432/${encodeURIComponent(database)}?host=${encodeURIComponent(this.run)}`,
      embedded: false,
    };
  }

  /** Of the last transaction that was replayed, as PostgreSQL writes it: 2026-11-29 09:50:51.827885+00. */
  get lastTransaction(): string | undefined {
    return this.lastOf(/last completed transaction was at log time (.*)$/);
  }

  /** Where the last record was that was replayed. */
  get lsn(): string | undefined {
    return this.lastOf(/redo done at (\S+)/);
  }

  /**
   * PostgreSQL takes a segment that is missing or cannot be read for the end of the archive, and goes on without it.
   * @param last the last segment in the archive. @throws BackupFault if recovery has ended before it
   */
  expectReplayed(last: string | undefined): void {
    const fault = this.commonFault();
    if (fault) throw fault;
    const { lsn } = this;
    if (lsn && last && segmentAt(lsn, this.control.segmentBytes) < last.slice(8)) throw walMissing(this.nextSegment());
  }

  get segmentBytes(): number {
    return this.control.segmentBytes;
  }

  /** As an orderly shutdown: the folder can be started again. */
  async stop(): Promise<void> {
    const { child } = this;
    this.child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const closed = once(child, 'close');
    child.kill('SIGINT');
    await closed;
  }

  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.run, { recursive: true, force: true });
  }

  private settings(): Record<string, string> {
    return {
      config_file: join(this.run, 'postgresql.conf'),
      hba_file: join(this.run, 'pg_hba.conf'),
      unix_socket_directories: this.run,
      unix_socket_permissions: '0700',
      listen_addresses: '',
      port: '5432',
      ssl: 'off',
      archive_mode: 'off',
      shared_preload_libraries: '',
      synchronous_standby_names: '',
      primary_conninfo: '',
      hot_standby: 'on',
      logging_collector: 'off',
      log_destination: 'stderr',
      log_min_messages: 'log',
      log_min_error_statement: 'panic', // no values of rows
      log_line_prefix: '',
      lc_messages: 'C',
      timezone: 'UTC',
      log_timezone: 'UTC',
      recovery_init_sync_method: 'syncfs', // what was restored is synced already
      autovacuum: 'off',
      shared_buffers: '128MB',
      ...this.control.limits,
    };
  }

  private faultOf(): BackupFault {
    const log = this.log.join('\n');
    const fault = this.commonFault();
    if (fault) return fault;
    if (/recovery ended before configured recovery target was reached/.test(log)) {
      return new BackupFault(
        'BACKUP_POINT_UNREACHABLE',
        `The archive ends before this point: its last transaction is of ${this.lastTransaction ?? 'before the backup'}. --to latest restores all of it.`,
      );
    }
    if (/stop point is before consistent recovery point/.test(log)) {
      return new BackupFault(
        'BACKUP_POINT_UNREACHABLE',
        'This point is before the end of the backup: begin with an older one.',
      );
    }
    if (/WAL ends before|could not locate (required )?checkpoint record/.test(log)) return walMissing(this.nextSegment());
    const said = /(?:FATAL|PANIC): .*/.exec(log)?.[0] ?? 'it ended without a word';
    return new BackupFault('BACKUP_FAILED', `The restored server does not start: ${said.slice(0, 300)}`);
  }

  /** What ends recovery, whether PostgreSQL notices or goes on. */
  private commonFault(): BackupFault | undefined {
    if (this.log.some((line) => /No space left on device|\[FileWriteError\]/.test(line))) {
      return new BackupFault('BACKUP_DISK_FULL', 'The disk is full: make room and run it again.');
    }
    const isDamaged = this.log.some((line) =>
      /ERROR: \[\d+\]: (unable to get|raised from)|incorrect resource manager data checksum/.test(line),
    );
    return isDamaged ? walDamaged(this.damagedSegment()) : undefined;
  }

  private damagedSegment(): string | undefined {
    return this.lastOf(/unable to get ([0-9A-F]{24})/) ?? this.lastOf(/restored log file "(\w{24})"/);
  }

  private nextSegment(): string | undefined {
    const last = this.lastOf(/restored log file "([0-9A-F]{24})"/);
    return last && `the one after ${last}`;
  }

  private lastOf(pattern: RegExp): string | undefined {
    return this.log.map((line) => pattern.exec(line)?.[1]).findLast((found) => found !== undefined);
  }
}

const walDamaged = (segment: string | undefined) =>
  new BackupFault(
    'BACKUP_WAL_DAMAGED',
    `A WAL segment of the archive is damaged (${segment ?? 'which one is not told'}): restore to a time before it.`,
  );

const walMissing = (segment: string | undefined) =>
  new BackupFault(
    'BACKUP_WAL_MISSING',
    `A WAL segment is missing in the archive (${segment ?? 'the first one'}): restore to a time before it.`,
  );
