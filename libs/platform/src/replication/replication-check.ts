import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { BackupFault } from '../backup/backup-fault';
import { ConfigurationError, type Settings } from '../config/config';
import { inBytes, type Finding } from '../doctor/check';
import { REPLICATION_CHECKS } from '../doctor/checks/replication';
import { examine } from '../doctor/examine';
import type { DatabaseTarget } from '../persistence/connection';
import { openConnection } from '../persistence/open-connection';
import { compareAtOneLsn, type Equality } from './equality';

export interface StandbyState {
  /** Of its slot, else as which it has introduced itself. */
  name: string;
  /** Where it was asked itself. */
  address?: string;
  /** Of pg_stat_replication; away: it is not connected, and its slot waits for it. */
  state: string;
  slot: string | null;
  timeline: number | null;
  bytesBehind: number | null;
  /** Until it had replayed what the primary had just written; null: not within 10 s. */
  secondsBehind: number | null;
  equality?: Equality;
}

export interface ReplicationReport {
  timeline: number;
  lsn: string;
  /** max_slot_wal_keep_size */
  slotLimit: string;
  standbys: StandbyState[];
  findings: Finding[];
}

const PATIENCE_MS = 10_000;
const LOOK_AGAIN_MS = 5;

const PRIMARY = `
  select pg_is_in_recovery() as "isStandby", ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::int as timeline,
    pg_current_wal_flush_lsn()::text as lsn, current_setting('max_slot_wal_keep_size') as "slotLimit",
    (select system_identifier::text from pg_control_system()) as identity`;
const STANDBYS = `
  select coalesce(s.slot_name, r.application_name) as name, coalesce(r.state, 'away') as state, s.slot_name as slot,
    pg_wal_lsn_diff(pg_current_wal_flush_lsn(), coalesce(r.replay_lsn, s.restart_lsn))::float8 as "bytesBehind"
  from (select * from pg_replication_slots where slot_type = 'physical' and not temporary) s
  full join (select * from pg_stat_replication where state <> 'backup') r on r.pid = s.active_pid order by 1`;
const REPLAYED = `
  select coalesce(s.slot_name, r.application_name) as name from pg_stat_replication r left join pg_replication_slots s on s.active_pid = r.pid
  where r.replay_lsn >= $1::pg_lsn`;
const ITSELF = `
  select pg_is_in_recovery() as "isStandby", r.slot_name as slot, r.received_tli as timeline,
    (select system_identifier::text from pg_control_system()) as identity
  from (select) here left join pg_stat_wal_receiver r on true`;

interface Itself {
  isStandby: boolean;
  slot: string | null;
  timeline: number | null;
  identity: string;
}

/**
 * Whether standbys stream, by slots with a limit, how far they are behind, and whether those that are named hold what the primary holds.
 * Changes nothing; to compare, writers wait for some milliseconds.
 * @param addresses host:port of standbys, where the login of the primary is good as well
 * @throws ConfigurationError if the primary cannot be asked
 */
export async function checkReplication(
  target: DatabaseTarget,
  settings: Settings,
  addresses: readonly string[],
  tell: (what: string) => void = () => undefined,
): Promise<ReplicationReport> {
  const clients: Client[] = [];
  const open = async (to: DatabaseTarget) => {
    const client = await openConnection(to, { patient: true });
    clients.push(client);
    return client;
  };
  try {
    const primary = await open(target);
    const [own] = (await primary.query<{ isStandby: boolean }>('select pg_is_in_recovery() as "isStandby"')).rows;
    if (own!.isStandby) {
      throw new ConfigurationError(
        'REPLICATION_OF_STANDBY',
        'DATABASE_MIGRATION_URL leads to a standby: give it the address of the primary.',
      );
    }
    const { identity, timeline, lsn, slotLimit } = (
      await primary.query<Itself & { timeline: number; lsn: string; slotLimit: string }>(PRIMARY)
    ).rows[0]!;
    tell('how far they are behind');
    const standbys = await statesOf(primary, lsn);
    const findings: Finding[] = [...(await common(target, settings)), ...standbys.flatMap(judge)];
    if (standbys.length === 0)
      findings.push({ severity: 'warning', what: 'There is no standby, and no slot for one.', mend: SETUP });
    const holder = addresses.length > 0 ? await open(target) : primary;
    for (const address of addresses) {
      tell(`comparing ${address}`);
      const there = addressOf(target, address);
      const found = await examineStandby({ address, there, identity, timeline, standbys, holder, primary, open });
      findings.push(...found);
    }
    return { timeline, lsn, slotLimit, standbys, findings };
  } finally {
    await Promise.all(clients.map((client) => client.end().catch(() => undefined)));
  }
}

/** The same login and database elsewhere. */
function addressOf({ url }: DatabaseTarget, host: string): DatabaseTarget {
  const there = Object.assign(new URL(url), { host });
  there.searchParams.delete('host'); // a socket's folder
  return { url: there.href, embedded: false };
}

const SETUP = '$ npx studently replication setup --target /var/lib/postgresql/15/standby';

/** What the doctor finds in replication. */
async function common(target: DatabaseTarget, settings: Settings): Promise<Finding[]> {
  const { findings } = await examine({ target, settings, checks: REPLICATION_CHECKS, deep: false, tell: () => undefined });
  return findings.filter(({ severity }) => severity !== 'note');
}

/** Those that are there, or have a slot; and how long each takes to replay up to a place that has just been written. */
async function statesOf(primary: Client, lsn: string): Promise<StandbyState[]> {
  const started = performance.now();
  const { rows } = await primary.query<Omit<StandbyState, 'secondsBehind' | 'timeline'>>(STANDBYS);
  const states = rows.map((row): StandbyState => ({ ...row, timeline: null, secondsBehind: null }));
  const waited = () => performance.now() - started;
  const late = () => states.filter(({ state, secondsBehind }) => state !== 'away' && secondsBehind === null);
  for (; late().length > 0 && waited() < PATIENCE_MS; await sleep(LOOK_AGAIN_MS)) {
    const there = (await primary.query<{ name: string }>(REPLAYED, [lsn])).rows.map(({ name }) => name);
    for (const each of late().filter(({ name }) => there.includes(name))) each.secondsBehind = waited() / 1000;
  }
  return states;
}

function judge({ name, state, slot, secondsBehind, bytesBehind }: StandbyState): Finding[] {
  const findings: Finding[] = [];
  if (state !== 'away' && state !== 'streaming') {
    const what = `The standby ${name} does not stream (${state}): it is still on its way to what is new.`;
    findings.push({
      severity: 'warning',
      what,
      mend: '$ npx studently replication check   # again; the log of the standby says more',
    });
  }
  if (slot === null) {
    findings.push({
      severity: 'warning',
      what: `The standby ${name} has no slot: what is written while it is away may be gone when it comes back.`,
      mend: `select pg_create_physical_replication_slot('${name}', true); -- and on the standby: alter system set primary_slot_name = '${name}'; select pg_reload_conf()`,
    });
  }
  if (state !== 'away' && secondsBehind === null) {
    findings.push({
      severity: 'critical',
      what: `The standby ${name} has not replayed within ${PATIENCE_MS / 1000} s what was written: it is ${inBytes(bytesBehind ?? 0)} behind.`,
      mend: `select pg_get_wal_replay_pause_state(), current_setting('recovery_min_apply_delay'), * from pg_stat_wal_receiver; -- on the standby`,
    });
  }
  return findings;
}

interface Comparison {
  address: string;
  there: DatabaseTarget;
  identity: string;
  timeline: number;
  standbys: StandbyState[];
  holder: Client;
  primary: Client;
  open: (target: DatabaseTarget) => Promise<Client>;
}

/** Asks a standby itself, and compares it. What it says of itself goes to its state. */
async function examineStandby(comparison: Comparison): Promise<Finding[]> {
  const { address, there, identity, timeline, standbys, holder, primary, open } = comparison;
  let standby: Client;
  try {
    standby = await open(there);
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    return [critical(`The standby ${address} does not answer (${error.code}).`, `$ pg_isready --dbname=postgres://${address}`)];
  }
  const itself = (await standby.query<Itself>(ITSELF)).rows[0]!;
  if (itself.identity !== identity) return [critical(`${address} is a standby of another database.`, SETUP)];
  if (!itself.isStandby) return [critical(`${address} is no standby: it takes writes by itself.`, SETUP)];
  const state = standbys.find(({ slot, name }) => name === itself.slot || slot === itself.slot);
  if (!state || state.state === 'away') {
    return [
      critical(`The standby ${address} receives nothing.`, `select * from pg_stat_wal_receiver; -- there; its log says more`),
    ];
  }
  Object.assign(state, { address, timeline: itself.timeline });
  const findings: Finding[] = [];
  if (itself.timeline !== timeline) {
    findings.push(critical(`The standby ${address} follows timeline ${itself.timeline}, not ${timeline}.`, SETUP));
  }
  if (state.secondsBehind === null) return findings; // that it is behind is told
  try {
    const equality = await compareAtOneLsn(holder, primary, standby);
    state.equality = equality;
    if (equality.differences.length > 0) {
      findings.push(
        critical(`The standby ${address} does not hold what the primary does: ${equality.differences.join('; ')}.`, SETUP),
      );
    }
  } catch (error) {
    const why = whyNot(error);
    if (!why) throw error;
    findings.push({ severity: 'warning', what: `The standby ${address} could not be compared: ${why.what}.`, mend: why.mend });
  }
  return findings;
}

/** What may keep two servers from being compared; undefined: something else. */
function whyNot(error: unknown): { what: string; mend: string } | undefined {
  const again = '$ npx studently replication check   # again';
  if (error instanceof BackupFault) return { what: 'somebody writes without a pause, or it is never near enough', mend: again };
  if ((error as { code?: string }).code !== '40001') return undefined;
  const mend = `alter system set hot_standby_feedback = on; select pg_reload_conf(); -- on the standby`;
  return { what: 'a vacuum of the primary has ended the comparison', mend };
}

const critical = (what: string, mend: string): Finding => ({ severity: 'critical', what, mend });
