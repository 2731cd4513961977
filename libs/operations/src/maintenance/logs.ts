import { lstatSync, readdirSync, readlinkSync, realpathSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { OwnerSession } from '@studently/platform';
import { compress } from './compress';

const DAY_MS = 24 * 60 * 60 * 1000;
/** Writers look for a new file every second (LOG_FILE); PostgreSQL's collector is asked. */
const WRITERS_MOVE_ON_MS = 5000;
/** Those of other containers are not seen. */
const UNSEEN_MOVE_ON_MS = 2000;
/** Where it cannot be seen who has a file open. */
const SURELY_CLOSED_MS = 60 * 60 * 1000;

export interface LogsRotated {
  /** What the log file was renamed to, or what PostgreSQL writes to from now on; undefined: there was nothing to rotate. */
  rotatedTo?: string;
  compressed: string[];
  /** Older than they are kept for. */
  removed: string[];
  /** Why something was left as it is. */
  remark?: string;
  bytesBefore: number;
  bytesAfter: number;
}

export interface LogCourse {
  keepDays: number;
  dryRun?: boolean;
  now?: Date;
}

/** LOG_FILE of the processes that run here: rename it, wait until they have moved on, compress what is old, remove what is too old. */
export async function rotateLogFile(
  file: string,
  { keepDays, dryRun = false, now = new Date() }: LogCourse,
): Promise<LogsRotated> {
  const isRotated = (name: string) => name.startsWith(`${basename(file)}.2`) && !name.endsWith('.part');
  const folder = realpathSync(dirname(file));
  const size = () => bytesOf(folder, (name) => name === basename(file) || isRotated(name));
  const bytesBefore = size();
  const current = statSync(file, { throwIfNoEntry: false });
  let rotatedTo: string | undefined;
  if (current?.isFile() && current.size > 0) {
    rotatedTo = `${file}.${now.toISOString().replace(/[-:.]/g, '')}`;
    if (!dryRun) {
      renameSync(file, rotatedTo);
      await sleep(UNSEEN_MOVE_ON_MS);
    }
  }
  const { remark, ...done } = await tidy(folder, isRotated, { keepDays, dryRun, now });
  return { ...(rotatedTo && { rotatedTo }), ...done, ...(remark && { remark }), bytesBefore, bytesAfter: size() };
}

/** PostgreSQL's own logs, where its collector writes them and this machine is the database's. */
export async function rotatePostgresLogs(session: OwnerSession, course: LogCourse): Promise<LogsRotated | { remark: string }> {
  const place = await placeOfLogs(session);
  if ('remark' in place) return place;
  const { folder, pattern } = place;
  const before = await currentLogs(session);
  const size = () => bytesOf(folder, (name) => pattern.test(name));
  const bytesBefore = size();
  let rotatedTo: string | undefined;
  if (!course.dryRun) {
    await session.query('select pg_rotate_logfile()');
    for (const end = Date.now() + WRITERS_MOVE_ON_MS; Date.now() < end && !rotatedTo; await sleep(50)) {
      const current = await currentLogs(session);
      if (current.join() !== before.join()) rotatedTo = join(folder, current[0]!);
    }
  }
  const current = new Set(await currentLogs(session));
  const isOld = (name: string) => pattern.test(name) && !current.has(name);
  const { remark, ...done } = await tidy(folder, isOld, { now: new Date(), dryRun: false, ...course });
  const unmoved =
    !course.dryRun && !rotatedTo && 'log_filename has no time in it that has changed: it goes on in the same file';
  return {
    ...(rotatedTo && { rotatedTo }),
    ...done,
    ...((remark || unmoved) && { remark: [unmoved, remark].filter(Boolean).join('; ') }),
    bytesBefore,
    bytesAfter: size(),
  };
}

interface LogSettings {
  collector: string;
  folder: string;
  data: string;
  name: string;
  allowed: boolean;
}

const NOT_ALLOWED = {
  remark:
    'the login may not see or rotate them: as an administrator grant pg_read_all_settings to <login>; ' +
    'grant execute on function pg_rotate_logfile(), pg_current_logfile(), pg_current_logfile(text) to <login>',
};

/** Settings and functions that a DBA may have to grant: the names of folders are for those who look after the server. */
async function placeOfLogs(session: OwnerSession): Promise<{ folder: string; pattern: RegExp } | { remark: string }> {
  if (session.target.embedded) return { remark: 'an embedded database writes no log of its own' };
  let settings: LogSettings | undefined;
  try {
    await session.execute('reset role'); // what was granted was granted to the login
    [settings] = await session.query<LogSettings>(
      `select current_setting('logging_collector') as collector, current_setting('log_directory') as folder,
         current_setting('data_directory') as data, current_setting('log_filename') as name,
         pg_current_logfile() as probe, has_function_privilege('pg_rotate_logfile()', 'execute') as allowed`,
    );
  } catch (error) {
    if ((error as { code?: string }).code !== '42501') throw error;
    return NOT_ALLOWED;
  }
  const { collector, folder, data, name, allowed } = settings!;
  if (!allowed) return NOT_ALLOWED;
  if (collector !== 'on')
    return { remark: 'logging_collector is off: whoever starts PostgreSQL keeps its log, and rotates it' };
  const place = isAbsolute(folder) ? folder : join(data, folder);
  try {
    readdirSync(place);
  } catch {
    return { remark: `${place} cannot be read here: run it on the machine of the database, as root or as its user` };
  }
  return { folder: realpathSync(place), pattern: patternOf(name) };
}

/** The names that `log_filename` stands for, of any of the three formats, compressed or not. */
function patternOf(name: string): RegExp {
  const literal = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const stem = name
    .replace(/\.log$/, '')
    .split(/%./)
    .map(literal)
    .join('[\\w:-]+');
  return new RegExp(`^${stem}(\\.log|\\.csv|\\.json|)(\\.gz)?$`);
}

async function currentLogs(session: OwnerSession): Promise<string[]> {
  const rows = await session.query<{ file: string | null }>(
    `select pg_current_logfile(format) as file from unnest(array['stderr', 'csvlog', 'jsonlog']) format`,
  );
  return rows.flatMap(({ file }) => (file === null ? [] : [basename(file)]));
}

/** Compresses what nobody writes to any more, and removes what is older than it is kept for. */
async function tidy(folder: string, isOurs: (name: string) => boolean, { keepDays, dryRun, now }: Required<LogCourse>) {
  const [compressed, removed, open]: string[][] = [[], [], []];
  for (const name of readdirSync(folder).filter(isOurs).sort()) {
    const file = join(folder, name);
    const stat = lstatSync(file);
    if (!stat.isFile()) continue; // somebody's own
    const { mtimeMs } = stat;
    if (now.getTime() - mtimeMs > keepDays * DAY_MS) {
      if (!dryRun) rmSync(file);
      removed!.push(name);
    } else if (!name.endsWith('.gz')) {
      if (dryRun || (!(await untilClosed(file)) && (await compress(file)))) compressed!.push(name);
      else open!.push(name);
    }
  }
  const remark = open!.length > 0 ? `${open!.join(', ')}: still being written to, the next run compresses it` : undefined;
  return { compressed: compressed!, removed: removed!, remark };
}

/** @returns whether it is still open */
async function untilClosed(file: string): Promise<boolean> {
  for (const end = Date.now() + WRITERS_MOVE_ON_MS; isOpen(file); await sleep(100)) if (Date.now() > end) return true;
  return false;
}

/** Whether a process has the file open. The processes of others are not seen, so the file has to be ours, or we root, or it is left for long. */
function isOpen(file: string): boolean {
  const { uid, mtimeMs } = lstatSync(file);
  const me = process.getuid?.();
  if (me !== 0 && me !== uid) return Date.now() - mtimeMs < SURELY_CLOSED_MS;
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .some((pid) => openFiles(pid).includes(file));
}

function openFiles(pid: string): string[] {
  try {
    const folder = `/proc/${pid}/fd`;
    return readdirSync(folder).map((descriptor) => linkOf(join(folder, descriptor)));
  } catch {
    return []; // it has ended, or is somebody else's
  }
}

function linkOf(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return '';
  }
}

function bytesOf(folder: string, isOurs: (name: string) => boolean): number {
  return readdirSync(folder)
    .filter(isOurs)
    .reduce((sum, name) => sum + lstatSync(join(folder, name)).size, 0);
}
