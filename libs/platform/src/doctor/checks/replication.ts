import { inBytes, judging, literal, set, type Check } from '../check';

interface Slot {
  name: string;
  active: boolean;
  status: string | null;
  kept: number | null;
}

const slots = judging<Slot>({
  name: 'slots',
  served: true,
  sql: `select slot_name as name, active, wal_status as status,
          (case when pg_is_in_recovery() then null else pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) end)::float8 as kept
        from pg_replication_slots where not temporary order by 1`,
  judge: ({ name, active, status, kept }) => {
    const mend = `select pg_drop_replication_slot(${literal(name)}); -- if its standby is gone for good; else start it`;
    if (status === 'lost') {
      return {
        severity: 'critical',
        what: `The slot ${name} has lost what its standby needs: the standby has to be made anew.`,
        mend,
      };
    }
    if (active) return undefined;
    return {
      severity: 'warning',
      what: `Nobody reads from the slot ${name}; ${inBytes(kept ?? 0)} of the write-ahead log are kept for it.`,
      mend,
    };
  },
});

const slotLimit = judging<{ slots: number; limit: string }>({
  name: 'slot limit',
  served: true,
  sql: `select count(*)::int as slots, current_setting('max_slot_wal_keep_size') as limit from pg_replication_slots`,
  judge: ({ slots: count, limit }) =>
    count === 0 || limit !== '-1'
      ? undefined
      : {
          severity: 'warning',
          what: 'max_slot_wal_keep_size = -1: the write-ahead log of a standby that is away fills the disk, and PostgreSQL stops.',
          mend: set('max_slot_wal_keep_size', `'10GB'`),
        },
});

/** Four segments of the write-ahead log: more than a healthy standby is ever behind for long. */
const FAR_BEHIND_BYTES = 64 * 1024 ** 2;

interface Standby {
  name: string;
  state: string;
  behind: number | null;
}

const standbys = judging<Standby>({
  name: 'standbys',
  served: true,
  needs: 'monitor',
  sql: `select application_name as name, state,
          (case when pg_is_in_recovery() then null else pg_wal_lsn_diff(pg_current_wal_lsn(), coalesce(replay_lsn, flush_lsn)) end)::float8 as behind
        from pg_stat_replication where state <> 'backup' order by 1`,
  judge: ({ name, state, behind }) =>
    (behind ?? 0) <= FAR_BEHIND_BYTES
      ? undefined
      : {
          severity: 'warning',
          what: `The standby ${name} (${state}) is ${inBytes(behind!)} behind: it answers old, and takes so much longer to take over.`,
          mend: `select * from pg_stat_replication; -- and on the standby: select pg_get_wal_replay_pause_state(), current_setting('recovery_min_apply_delay')`,
        },
});

/** On a standby. */
const receiver = judging<{ receives: boolean }>({
  name: 'receiver',
  served: true,
  needs: 'monitor',
  sql: `select exists (select from pg_stat_wal_receiver where status = 'streaming') as receives where pg_is_in_recovery()`,
  judge: ({ receives }) =>
    receives
      ? undefined
      : {
          severity: 'critical',
          what: 'This standby receives nothing from its primary: what it answers gets older and older.',
          mend: `select current_setting('primary_conninfo'); -- does the primary answer there? The log of this server says why not`,
        },
});

/** Commits wait without an end for a synchronous standby that is not there. */
const synchronous = judging<{ names: string; standbys: number }>({
  name: 'synchronous standbys',
  served: true,
  needs: 'monitor',
  sql: `select current_setting('synchronous_standby_names') as names,
          (select count(*)::int from pg_stat_replication where sync_state in ('sync', 'quorum')) as standbys
        where current_setting('synchronous_standby_names') <> '' and not pg_is_in_recovery()`,
  judge: ({ names, standbys: count }) =>
    count > 0
      ? undefined
      : {
          severity: 'critical',
          what: `synchronous_standby_names = ${names}, and none of them is there: every commit waits.`,
          mend: `alter system reset synchronous_standby_names; select pg_reload_conf(); -- gives up that a failover loses nothing`,
        },
});

export const REPLICATION_CHECKS: readonly Check[] = [slots, slotLimit, standbys, receiver, synchronous];
