import { BackupFault } from '../../backup/backup-fault';
import type { Backup } from '../../backup/backups';
import { lastProven } from '../../backup/drill';
import { openBackups } from '../../backup/open-backups';
import { ConfigurationError } from '../../config/config';
import { inWords, judging, type Check, type Finding } from '../check';

const HOUR_MS = 60 * 60 * 1000;
/** One each day, and half a day to spare. */
const OLDEST_BACKUP_HOURS = 36;
/** A drill each week, and a day to spare. */
const OLDEST_PROOF_HOURS = 8 * 24;

const RUN = '$ npx studently backup run';
const DRILL = '$ npx studently backup drill';

/** How old the newest backup is, and the last proof of one. Seen where backups are made: on the machine of PostgreSQL. */
const backups: Check = {
  name: 'backups',
  examine: async ({ target, settings, ask }) => {
    const [place] = await ask<{ here: boolean }>(`select inet_client_addr() is not distinct from inet_server_addr() as here`);
    if (!target.embedded && !place!.here) return [];
    try {
      const { backups: all } = await openBackups(settings).list();
      return judgeBackups(all.at(-1), lastProven(settings)?.endedAt, Date.now());
    } catch (error) {
      if (error instanceof BackupFault) {
        return [
          { severity: 'critical', what: `The backups cannot be read (${error.code}).`, mend: `$ npx studently backup check` },
        ];
      }
      if (!(error instanceof ConfigurationError)) throw error;
      const mend = '$ apt-get install pgbackrest   # then: npx studently backup run --type full';
      return [{ severity: 'critical', what: 'There is no pgBackRest here, and so no backup.', mend }];
    }
  },
};

/** @param provenAt when the last drill that went well has ended; undefined: never */
export function judgeBackups(
  newest: Pick<Backup, 'endedAt'> | undefined,
  provenAt: string | undefined,
  now: number,
): Finding[] {
  if (!newest) {
    const mend = `${RUN} --type full   # then: npx studently backup drill`;
    return [{ severity: 'critical', what: 'There is no backup: what is lost is lost for good.', mend }];
  }
  const hoursSince = (time: string) => (now - Date.parse(time)) / HOUR_MS;
  const found: Finding[] = [];
  const age = hoursSince(newest.endedAt);
  if (age > OLDEST_BACKUP_HOURS) {
    found.push({ severity: 'warning', what: `The newest backup is ${inWords(Math.round(age))} hours old.`, mend: RUN });
  }
  if (provenAt === undefined) {
    found.push({
      severity: 'warning',
      what: 'No backup has ever been proven: nobody knows whether they can be restored.',
      mend: DRILL,
    });
  } else if (hoursSince(provenAt) > OLDEST_PROOF_HOURS) {
    const days = inWords(Math.round(hoursSince(provenAt) / 24));
    found.push({ severity: 'warning', what: `The last proof that a backup can be restored is ${days} days old.`, mend: DRILL });
  }
  return found;
}

/** What is not archived is kept until the disk is full, and is lost with the server. Nobody else says so before a backup fails. */
const archiving = judging<{ segment: string | null; minutes: number | null }>({
  name: 'archiving',
  served: true,
  sql: `
    select case when failed then last_failed_wal end as segment, extract(epoch from clock_timestamp() - last_archived_time)::float8 / 60 as minutes
    from pg_stat_archiver, lateral (select last_failed_time > coalesce(last_archived_time, '-infinity') as failed) f
    where current_setting('archive_mode') <> 'off' and not pg_is_in_recovery()
      and (failed or current_setting('archive_command') = '' and current_setting('archive_library') = '')`,
  judge: ({ segment, minutes }) => {
    const since = minutes === null ? 'nothing ever was' : `the last was ${inWords(Math.round(minutes))} min ago`;
    return segment === null
      ? {
          severity: 'critical',
          what: 'archive_mode is on, and archive_command is empty: the write-ahead log is kept for nobody, until the disk is full.',
          mend: `alter system set archive_command = 'pgbackrest --stanza=studently archive-push %p'; select pg_reload_conf();`,
        }
      : {
          severity: 'critical',
          what: `The segment ${segment} could not be archived, and ${since}: it is lost with the server, and the disk fills.`,
          mend: '$ npx studently backup check   # what is wrong; the log of PostgreSQL has more. It is tried again by itself',
        };
  },
});

export const BACKUP_CHECKS: readonly Check[] = [backups, archiving];
