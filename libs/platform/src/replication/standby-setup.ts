import { appendFileSync, existsSync, readdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { Client } from 'pg';
import type { Doing } from '../backup/backups';
import { giveAway, inEmptyFolder, megabytes } from '../backup/folders';
import { runTool } from '../backup/tool';
import { ConfigurationError, type Settings } from '../config/config';
import { literal, set } from '../doctor/check';
import { connectionOptions, type DatabaseTarget } from '../persistence/connection';
import { openConnection } from '../persistence/open-connection';
import { primaryConninfo, type PrimaryConninfo } from './primary-conninfo';

export interface StandbyWish {
  /** The data folder of the standby: empty, or not there. */
  target: string;
  /** As which the primary knows it; also the name of its slot. */
  name: string;
  /** On which it is to listen; undefined: its configuration says so. */
  port?: number;
}

export interface StandbyPlan {
  /** What is done, one after another. */
  steps: string[];
  bytes: number;
  /** What is better done as well, as a command. */
  advice: string[];
  /** It is there: nothing is to be done. */
  isMade: boolean;
}

/** A base backup and the WAL that is written meanwhile come by two connections. */
const SENDERS = 2;
const FEEDBACK = `hot_standby_feedback = 'on'`;
/** Beside the database: for WAL, and to live. */
const ROOM_BYTES = 512 * 1024 ** 2;

const FACTS = `
  select current_setting('wal_level') as "walLevel", current_setting('server_version_num')::int / 10000 as version,
    current_setting('max_wal_senders')::int - (select count(*)::int from pg_stat_replication) as senders,
    current_setting('max_replication_slots')::int - (select count(*)::int from pg_replication_slots) as slots,
    current_setting('max_slot_wal_keep_size') as "slotLimit", pg_is_in_recovery() as "isStandby",
    (select active from pg_replication_slots where slot_name = $1) as "slotInUse",
    (select rolreplication or rolsuper from pg_roles where rolname = $2) as "mayReplicate",
    (select count(*)::int from pg_tablespace where spcname not in ('pg_default', 'pg_global')) as tablespaces,
    (select sum(pg_database_size(oid))::float8 from pg_database) as bytes`;

interface Facts {
  walLevel: string;
  version: number;
  senders: number;
  slots: number;
  slotLimit: string;
  isStandby: boolean;
  /** null: there is no such slot. */
  slotInUse: boolean | null;
  mayReplicate: boolean | null;
  tablespaces: number;
  bytes: number;
}

/** Makes a standby of the primary on this machine. Runs as the user of PostgreSQL, or as root, which then acts as `postgres`. */
export class StandbySetup {
  private readonly target: string;
  private readonly passfile: string;
  private readonly url: string;
  private readonly conninfo: PrimaryConninfo;

  constructor(
    private readonly settings: Settings,
    /** The login of migrations: it looks, and changes nothing. */
    private readonly primary: DatabaseTarget,
    private readonly wish: StandbyWish,
  ) {
    this.target = resolve(wish.target);
    this.passfile = `${this.target}.pgpass`;
    this.url = settings.DATABASE_REPLICATION_URL ?? primary.url;
    this.conninfo = primaryConninfo(this.url, wish.name, this.passfile);
  }

  /** What would be done. @throws ConfigurationError `REPLICATION_NOT_READY` with all that is in the way, and what mends it */
  async plan(): Promise<StandbyPlan> {
    const { name, port } = this.wish;
    if (this.isMade()) return { steps: [], bytes: 0, advice: [], isMade: true };
    const facts = await this.facts();
    const faults = [...this.faultsOfPrimary(facts), ...this.faultsHere(facts), ...(await this.faultsOfTools(facts))];
    // A login that may not replicate is told once.
    if (faults.length === 0) faults.push(...(await this.faultsOfLogin()));
    if (faults.length > 0) {
      throw new ConfigurationError(
        'REPLICATION_NOT_READY',
        `No standby can be made here yet:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`,
      );
    }
    const { host } = new URL(this.primary.url);
    return {
      steps: [
        `make the slot ${name} on ${host}, so that it keeps its WAL for the standby`,
        ...(this.conninfo.passLine ? [`write the password to ${this.passfile}, for the user of PostgreSQL alone`] : []),
        `copy ${megabytes(facts.bytes)} to ${this.target} (pg_basebackup), and the WAL that is written meanwhile`,
        `have it start as a standby that answers queries${port === undefined ? '' : `, on port ${port}`}`,
      ],
      bytes: facts.bytes,
      advice: facts.slotLimit === '-1' ? [set('max_slot_wal_keep_size', `'10GB'`)] : [],
      isMade: false,
    };
  }

  /** Does it. Whatever ends it, folder, file and slot are gone afterwards; of a process that is killed they stay, and the next plan names them. */
  async make(doing: Doing = {}): Promise<StandbyPlan> {
    const plan = await this.plan();
    if (plan.isMade) return plan;
    const { name } = this.wish;
    doing.steps?.('making the slot', 0);
    await this.replicating((client) => client.query(`CREATE_REPLICATION_SLOT "${name}" PHYSICAL RESERVE_WAL`));
    try {
      await inEmptyFolder(this.target, async (folder) => {
        giveAway(folder);
        this.writePassfile();
        await this.copy(folder, doing);
        this.configure(folder);
      });
    } catch (error) {
      rmSync(this.passfile, { force: true });
      await this.dropSlot();
      throw error;
    }
    return plan;
  }

  private async facts(): Promise<Facts> {
    const client = await openConnection(this.primary, { patient: true });
    try {
      const login = decodeURIComponent(new URL(this.url).username);
      return (await client.query<Facts>(FACTS, [this.wish.name, login])).rows[0]!;
    } finally {
      await client.end();
    }
  }

  private faultsOfPrimary(facts: Facts): string[] {
    const { name } = this.wish;
    const login = decodeURIComponent(new URL(this.url).username);
    const restart = 'then restart PostgreSQL';
    return told([
      facts.isStandby && 'DATABASE_MIGRATION_URL leads to a standby: give it the address of the primary',
      facts.walLevel === 'minimal' &&
        `wal_level = minimal writes too little: alter system set wal_level = replica; -- ${restart}`,
      facts.senders < SENDERS &&
        `of max_wal_senders ${facts.senders} are free, and ${SENDERS} needed: alter system set max_wal_senders = 10; -- ${restart}`,
      facts.slotInUse === null &&
        facts.slots < 1 &&
        `of max_replication_slots none is free: alter system set max_replication_slots = 10; -- ${restart}`,
      facts.slotInUse === true && `the slot ${name} is in use by another standby: choose another --name`,
      facts.slotInUse === false &&
        `the slot ${name} is there, and nobody reads from it. If an interrupted setup has left it: select pg_drop_replication_slot(${literal(name)});`,
      facts.mayReplicate !== true &&
        `the login ${login} may not replicate: create role studently_replicator login replication password '…'; and give DATABASE_REPLICATION_URL its address`,
      facts.tablespaces > 0 &&
        'there are tablespaces, which are not known here: run pg_basebackup by hand, with --tablespace-mapping',
    ]);
  }

  private faultsHere({ bytes }: Facts): string[] {
    const isEmpty = !existsSync(this.target) || readdirSync(this.target).length === 0;
    let place = this.target;
    while (!existsSync(place)) place = dirname(place);
    const { bavail, bsize } = statfsSync(place);
    const needed = bytes + ROOM_BYTES;
    return told([
      !isEmpty &&
        `${this.target} is not empty: choose another --target. If an interrupted setup has left it: rm -r ${this.target} ${this.passfile}`,
      bavail * bsize < needed && `${megabytes(needed)} are needed at ${this.target}, and ${megabytes(bavail * bsize)} are free`,
    ]);
  }

  private async faultsOfTools({ version }: Facts): Promise<string[]> {
    const { out } = await runTool(join(this.settings.POSTGRES_BIN, 'pg_basebackup'), ['--version']);
    const own = /(\d+)/.exec(out)?.[1];
    return told([
      own !== String(version) && `pg_basebackup here is of PostgreSQL ${own}, the primary is ${version}: set POSTGRES_BIN`,
    ]);
  }

  /** Whether the primary lets it in to replicate, as pg_hba.conf has to say. */
  private async faultsOfLogin(): Promise<string[]> {
    try {
      await this.replicating((client) => client.query('IDENTIFY_SYSTEM'));
      return [];
    } catch (error) {
      const { code } = error as { code?: string };
      const login = decodeURIComponent(new URL(this.url).username);
      const hint =
        code === '28000' ? `: add to its pg_hba.conf: host replication ${login} <this machine>/32 scram-sha-256` : '';
      return [`the primary does not let ${login} replicate (${code ?? 'no answer'})${hint}`];
    }
  }

  private async replicating<T>(work: (client: Client) => Promise<T>): Promise<T> {
    const options = { ...connectionOptions({ url: this.url, embedded: false }, 1, true), replication: 'true' };
    const client = new Client(options);
    client.on('error', () => undefined); // whoever waits for an answer is told
    await client.connect();
    try {
      return await work(client);
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  private async dropSlot(): Promise<void> {
    const { name } = this.wish;
    await this.replicating((client) => client.query(`DROP_REPLICATION_SLOT "${name}" WAIT`)).catch(() => {
      throw new Error(
        `The slot ${name} could not be removed, and keeps WAL: select pg_drop_replication_slot(${literal(name)}); -- on the primary`,
      );
    });
  }

  private writePassfile(): void {
    const { passLine } = this.conninfo;
    if (!passLine) return;
    rmSync(this.passfile, { force: true }); // of a setup that was killed
    writeFileSync(this.passfile, `${passLine}\n`, { mode: 0o600, flag: 'wx' });
    giveAway(this.target, this.passfile);
  }

  private async copy(folder: string, { signal, steps }: Doing): Promise<void> {
    const args = ['-D', folder, '-d', this.conninfo.conninfo, '-R', '-S', this.wish.name, '-X', 'stream', '-c', 'fast'];
    const { code, err } = await runTool(
      join(this.settings.POSTGRES_BIN, 'pg_basebackup'),
      [...args, '--progress', '--no-password'],
      { signal, onSaid: (text) => shareOf(text) !== undefined && steps?.('copying', shareOf(text)) },
    );
    if (code !== 0) throw new Error(`pg_basebackup has failed: ${err.trim().split('\n').at(-1)}`);
  }

  /** What -R has written stands before it; what comes later counts. It is the last step: `isMade` looks for it. */
  private configure(folder: string): void {
    const { port } = this.wish;
    const lines = [`hot_standby = 'on'`, FEEDBACK, ...(port === undefined ? [] : [`port = '${port}'`])];
    appendFileSync(join(folder, 'postgresql.auto.conf'), `${lines.join('\n')}\n`);
  }

  private isMade(): boolean {
    try {
      const settings = readFileSync(join(this.target, 'postgresql.auto.conf'), 'utf8');
      const slot = settings.lastIndexOf(`primary_slot_name = '${this.wish.name}'`);
      return existsSync(join(this.target, 'standby.signal')) && slot !== -1 && settings.lastIndexOf(FEEDBACK) > slot;
    } catch {
      return false;
    }
  }
}

const told = (faults: (string | false)[]): string[] => faults.filter((fault) => fault !== false);

/** Of what pg_basebackup says: 12345/67890 kB (18%). */
function shareOf(text: string): number | undefined {
  const percent = /\((\d+)%\)/.exec(text)?.[1];
  return percent === undefined ? undefined : Number(percent) / 100;
}
