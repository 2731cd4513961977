import { rmSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Settings } from '../config/config';
import type { DatabaseTarget } from '../persistence/connection';
import { BackupFault } from './backup-fault';
import type { Backup, BackupList, Backups, BackupType, Doing, Point, Rehearsal, Restored } from './backups';
import { expectEmpty, giveAway, inEmptyFolder, megabytes } from './folders';
import { packMarker, recordMarker, type Marker } from './marker';
import { findingsOf, gapsIn, MARKER, PgBackRest } from './pgbackrest';
import { ScratchServer } from './scratch-server';
import { interrupted } from './tool';

/** How to get to a point: the backup to begin with, and what recovery is told. */
interface Route {
  backup: Backup;
  options: string[];
}

/** Backups of a PostgreSQL server by pgBackRest: files and WAL, so that any moment can be restored. */
export class ServedBackups implements Backups {
  private readonly tool: PgBackRest;

  constructor(
    private readonly settings: Settings,
    /** The login of migrations; not asked to restore, so that its server may be gone. */
    private readonly target: DatabaseTarget,
  ) {
    this.tool = new PgBackRest(settings);
  }

  list(): Promise<BackupList> {
    return this.tool.info();
  }

  async plan(type: BackupType): Promise<string> {
    const { backups, isThere } = await this.tool.info();
    const base = backups.findLast((backup) => backup.type === 'full' || type === 'incr');
    const what = type === 'full' || !base ? 'a full backup' : `a backup of what has changed since ${base.label} (${type})`;
    return `${isThere ? '' : 'Make the stanza in the repository, then '}${what}, its marker, and what is too old is removed.`;
  }

  async run(type: BackupType, doing: Doing = {}): Promise<Backup> {
    const { steps } = doing;
    if (!(await this.tool.info()).isThere) await this.tool.create();
    await this.tool.backup(type, doing);
    const made = (await this.tool.info()).backups.at(-1)!; // now, as others may make the next one meanwhile
    steps?.('recording the marker');
    const marker = await recordMarker(this.target).catch((error: unknown) => {
      if (!(error instanceof BackupFault)) throw error;
      throw new BackupFault(
        error.code,
        `${made.label} is made, but has no marker, so that no drill can prove it. ${error.message}`,
      );
    });
    await this.annotate(made.label, marker, doing);
    steps?.('waiting for the archive');
    await this.tool.pushWal(); // up to the marker, and so the backup can be proven
    return { ...made, marker };
  }

  /** Another backup may have begun meanwhile, and holds the repository until it has ended. */
  private async annotate(label: string, marker: Marker, { signal, steps }: Doing): Promise<void> {
    for (;;) {
      try {
        return await this.tool.annotate(label, MARKER, packMarker(marker));
      } catch (error) {
        if (!(error instanceof BackupFault) || error.code !== 'BACKUP_BUSY') throw error;
      }
      steps?.('waiting for another backup to end');
      await sleep(1000, undefined, { signal }).catch(() => {
        throw interrupted();
      });
    }
  }

  async check({ signal, steps }: Doing = {}): Promise<string[]> {
    const { backups, segmentBytes } = await this.existing();
    steps?.('pushing a WAL segment');
    const archiving = await this.tool.pushWal().then(
      () => [],
      (error: unknown) =>
        error instanceof BackupFault ? [`archiving does not work: ${error.message}`] : Promise.reject(error as Error),
    );
    steps?.('reading the repository');
    const damaged = findingsOf(await this.tool.verify(signal));
    const firsts = backups.map(({ firstSegment }) => firstSegment!);
    const gaps = gapsIn(await this.tool.segments(), segmentBytes, firsts);
    const unmarked = backups.at(-1)!.marker
      ? []
      : [`backup ${backups.at(-1)!.label} has no marker, so that no drill can prove it`];
    return [...archiving, ...damaged, ...gaps, ...unmarked];
  }

  async expire(dryRun: boolean): Promise<string[]> {
    await this.existing();
    return this.tool.expire(dryRun);
  }

  async planRestore(point: Point, target: string): Promise<string> {
    const [{ backup }] = routesTo(point, (await this.existing()).backups);
    expectEmpty(target, backup.size);
    return `Restore ${megabytes(backup.size)} of ${backup.label} to ${target}, and replay the archive to the point.`;
  }

  async restore(point: Point, target: string, doing: Doing = {}): Promise<Restored> {
    const started = performance.now();
    const { backups, archive } = await this.existing();
    const routes = routesTo(point, backups);
    expectEmpty(target, routes[0].backup.size);
    return inEmptyFolder(target, async (folder) => {
      giveAway(folder);
      const { server, backup } = await this.firstThatLeads(routes, folder, doing);
      try {
        if (point.kind === 'latest') server.expectReplayed(archive?.last);
        const { lastTransaction, lsn } = server;
        await server.stop();
        const seconds = (performance.now() - started) / 1000;
        return { target: folder, label: backup.label, lastTransaction, lsn, seconds, bytes: backup.size, advice: ADVICE };
      } finally {
        await server.remove();
      }
    });
  }

  /** A restore point has a name and no place: with which backup one gets there shows when it is tried. */
  private async firstThatLeads(routes: Route[], folder: string, doing: Doing) {
    for (const [index, { backup, options }] of routes.entries()) {
      try {
        return {
          backup,
          server: await this.recover(folder, ['--target-action=promote', `--set=${backup.label}`, ...options], doing),
        };
      } catch (error) {
        const isTooLate = error instanceof BackupFault && error.code === 'BACKUP_POINT_UNREACHABLE';
        if (!isTooLate || index === routes.length - 1) throw error;
        for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true });
      }
    }
    throw new Error('There is no route.');
  }

  async rehearse(folder: string, doing: Doing = {}): Promise<Rehearsal> {
    const { backups, archive } = await this.existing();
    const backup = backups.findLast((each): each is Backup & { marker: Marker } => each.marker !== undefined);
    if (!backup) throw new BackupFault('BACKUP_NONE', 'No backup has a marker to compare with: npx studently backup run');
    expectEmpty(folder, backup.size);
    giveAway(folder);
    const server = await this.recover(
      folder,
      [`--set=${backup.label}`, '--target-action=pause', ...toMarker(backup.marker)],
      doing,
    );
    const database = decodeURIComponent(new URL(this.target.url).pathname.slice(1)) || 'postgres';
    return {
      backup,
      atMarker: server.target(database),
      toEnd: async () => {
        await server.stop();
        await server.start({ recovery_target_xid: '', recovery_target_action: 'promote' }, doing.signal);
        server.expectReplayed(archive?.last);
        return { target: server.target(database), lastTransaction: server.lastTransaction, lsn: server.lsn };
      },
      stop: () => server.remove(),
    };
  }

  private async recover(folder: string, options: string[], doing: Doing): Promise<ScratchServer> {
    // Without a target there is nothing to do once it is reached.
    const given = options.some((option) => option.startsWith('--type='))
      ? options
      : options.filter((each) => !each.startsWith('--target-'));
    await this.tool.restore(folder, given, doing);
    doing.steps?.('replaying the archive');
    const server = await ScratchServer.on(folder, this.settings.POSTGRES_BIN);
    try {
      await server.start({}, doing.signal);
      return server;
    } catch (error) {
      await server.remove();
      throw error;
    }
  }

  private async existing() {
    const info = await this.tool.info();
    if (info.backups.length > 0) return info;
    throw new BackupFault(
      'BACKUP_NONE',
      'The repository is not there, or holds no backup: look at repo1-path, or run: npx studently backup run',
    );
  }
}

const ADVICE =
  'It is whole, and was shut down in order. Give it the configuration of its server, and start it. It archives nothing: when it takes over, ' +
  'remove archive_mode from its postgresql.auto.conf and run: npx studently backup run --type full';

/** The routes to try, the best first. @throws BackupFault if it can be told that none leads there */
function routesTo(point: Point, backups: Backup[]): [Route, ...Route[]] {
  const latest = backups.at(-1)!;
  if (point.kind === 'latest') return [{ backup: latest, options: [] }];
  if (point.kind === 'time') {
    const options = ['--type=time', `--target=${sqlTime(point.at)}`];
    return beforeTime(point.at, backups).map((backup) => ({ backup, options })) as [Route, ...Route[]];
  }
  const named = backups.find(({ label }) => label === point.name);
  if (named) return [{ backup: named, options: named.marker ? toMarker(named.marker) : ['--type=immediate'] }];
  return backups.map((backup) => ({ backup, options: ['--type=name', `--target=${point.name}`] })).reverse() as [
    Route,
    ...Route[],
  ];
}

/** Ends of backups are told in whole seconds: within the same second the latest may be consistent only after the time, and the one before leads there. */
function beforeTime(at: Date, backups: Backup[]): Backup[] {
  if (at.getTime() > Date.now())
    throw new BackupFault('BACKUP_POINT_UNREACHABLE', 'This time has not come yet: --to latest restores all there is.');
  const before = backups
    .filter(({ endedAt }) => new Date(endedAt) <= at)
    .slice(-2)
    .reverse();
  if (before.length > 0) return before;
  throw new BackupFault(
    'BACKUP_POINT_UNREACHABLE',
    `The oldest backup ended at ${backups[0]!.endedAt}: nothing before that can be restored.`,
  );
}

const sqlTime = (at: Date) => at.toISOString().replace('T', ' ').replace('Z', '+00');

/** Recovery knows the last 32 bits of a transaction's id. */
const toMarker = ({ xid }: Marker) => ['--type=xid', `--target=${BigInt.asUintN(32, BigInt(xid))}`];
