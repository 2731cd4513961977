import { execFileSync } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ReplicationReport } from '@studently/platform';
import { Migrations } from '../../libs/platform/src/migrations/migrations';
import { ApiProcess } from '../support/api-process';
import { sql } from '../support/database';
import { HttpClient } from '../support/http';
import { freePort, postgresOwner, startPostgres, withClient } from '../support/servers';
import { studently, StudentlyProcess } from '../support/studently';
import { runMend } from '../support/doctor';
import { describeServed } from '../support/served';

const BIN = '/usr/lib/postgresql/15/bin';
const SECRET = 'not-to-be-found-anywhere';
const owner = postgresOwner();

const as = (url: string, username: string) => Object.assign(new URL(url), { username, password: SECRET }).href;

/** A migrated primary, with logins like those of deploy/postgres/logins.sh. */
async function startPrimary(more: Record<string, string> = {}) {
  const server = await startPostgres(more);
  await withClient(server.url('postgres'), (client) => client.query('create database studently'));
  const adminUrl = server.url('studently');
  await new Migrations({ url: adminUrl, embedded: false }).up();
  await sql(
    adminUrl,
    `grant studently_app, studently_worker to studently_login;
     create role studently_migrator login password '${SECRET}'; grant studently_owner, pg_monitor to studently_migrator;
     create role studently_replicator login replication password '${SECRET}'`,
  );
  const settings = {
    DATABASE_URL: server.appUrl('studently'),
    DATABASE_MIGRATION_URL: as(adminUrl, 'studently_migrator'),
    DATABASE_REPLICATION_URL: as(adminUrl, 'studently_replicator'),
  };
  return { server, adminUrl, settings };
}

describeServed('studently replication', () => {
  let primary: Awaited<ReturnType<typeof startPrimary>>;
  let folder: string;
  let port: number;
  let count = 0;
  const newTarget = () => join(folder, `standby-${count++}`);
  const ask = <Row extends object>(text: string) => sql<Row>(primary.adminUrl, text);
  const slots = async () =>
    (await ask<{ name: string }>('select slot_name as name from pg_replication_slots')).map(({ name }) => name);
  const setup = (target: string, ...args: string[]) =>
    studently(primary.settings, 'replication', 'setup', '--target', target, ...args);
  const onFolder = (target: string, ...args: string[]) =>
    execFileSync(join(BIN, 'pg_ctl'), ['-D', target, '-w', '-l', join(folder, 'standby.log'), ...args], {
      ...owner,
      stdio: 'ignore',
      cwd: folder,
    });
  const there = () => Object.assign(new URL(primary.adminUrl), { port: String(port) }).href;

  beforeAll(async () => {
    primary = await startPrimary();
    folder = mkdtempSync(join(tmpdir(), 'studently-standbys-'));
    if (owner) chownSync(folder, owner.uid, owner.gid);
    port = await freePort();
  }, 60_000);
  afterAll(async () => {
    await primary?.server.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  it('SC-3 setup says all that is in the way at once, each with what mends it', async () => {
    const poor = await startPrimary({ wal_level: 'minimal', max_wal_senders: '0', max_replication_slots: '0' });
    try {
      const settings = { ...poor.settings, DATABASE_REPLICATION_URL: poor.settings.DATABASE_MIGRATION_URL };
      const { code, err } = await studently(settings, 'replication', 'setup', '--target', '/usr', '--dry-run');
      expect(code).toBe(78);
      expect(err).toMatch(/^REPLICATION_NOT_READY: .*\n {2}- wal_level = minimal.*alter system set wal_level = replica/);
      expect(err).toMatch(/- of max_wal_senders 0 are free, and 2 needed: alter system set max_wal_senders/);
      expect(err).toMatch(/- of max_replication_slots none is free: alter system/);
      expect(err).toMatch(/- the login studently_migrator may not replicate: create role studently_replicator/);
      expect(err).toMatch(/- \/usr is not empty/);
      expect(err).not.toContain(SECRET);
    } finally {
      await poor.server.remove();
    }
  }, 60_000);

  it('SC-3 setup says with --dry-run what it would do, and does nothing of it', async () => {
    const target = newTarget();
    const { code, out } = await setup(target, '--name', 'dry', '--dry-run');
    expect(out).toMatch(
      /^1\. make the slot dry on .*\n2\. write the password to .*\n3\. copy [\d.]+ MB to .*\n4\. have it start/,
    );
    expect(out).toContain(`alter system set max_slot_wal_keep_size = '10GB'`);
    expect([code, existsSync(target), await slots()]).toEqual([0, false, []]);
  });

  /** Ends it in the middle, when its slot is there. */
  async function endInTheMiddle(target: string, signal: NodeJS.Signals) {
    const args = ['replication', 'setup', '--target', target, '--name', 'half'];
    const running = new StudentlyProcess(primary.settings, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    while ((await slots()).length === 0) await sleep(5);
    running.child.kill(signal);
    return running.ended;
  }

  it('SC-3 setup that is interrupted leaves neither folder nor slot', async () => {
    const target = newTarget();
    expect((await endInTheMiddle(target, 'SIGINT')).code).toBe(130);
    expect([existsSync(target), existsSync(`${target}.pgpass`), await slots()]).toEqual([false, false, []]);
  }, 30_000);

  it('SC-3 setup that was killed is named by the next one, with the commands that clear up', async () => {
    const target = newTarget();
    await endInTheMiddle(target, 'SIGKILL');
    await sleep(500); // its tool ends with it
    mkdirSync(target, { recursive: true }); // as it is a moment later: with all of pg_basebackup, and not synced
    writeFileSync(join(target, 'standby.signal'), '');
    writeFileSync(join(target, 'postgresql.auto.conf'), `hot_standby_feedback = 'on'\nprimary_slot_name = 'half'\n`);
    const next = await setup(target, '--name', 'half');
    expect(next.code).toBe(78);
    const [drop] = /select pg_drop_replication_slot\('half'\);/.exec(next.err)!;
    runMend(drop, primary.adminUrl);
    const [remove] = /rm -r .*/.exec(next.err) ?? [];
    if (remove) runMend(`$ ${remove.replace('rm -r', 'rm -rf')}`, primary.adminUrl);
    expect(await setup(target, '--name', 'half', '--dry-run')).toMatchObject({ code: 0, err: '' });
  }, 30_000);

  it('SC-3 the lag of a standby whose slot has lost what it needs has no end', async () => {
    await ask(`select pg_create_physical_replication_slot('away', true)`);
    const set = async (limit: string) => {
      await ask(`alter system set max_slot_wal_keep_size = ${limit}`);
      await ask('select pg_reload_conf()');
    };
    await set(`'1MB'`);
    const api = await ApiProcess.start({ ...primary.settings, LOG_ACCESS: 'false' }); // alone, so that it measures
    try {
      const status = () => ask<{ status: string }>('select wal_status as status from pg_replication_slots');
      for (let segment = 0; segment < 20 && (await status())[0]!.status !== 'lost'; segment++) {
        await ask(`select pg_logical_emit_message(true, 'filler', 'x')`);
        await ask('select pg_switch_wal()');
        await ask('checkpoint');
      }
      expect(await status()).toEqual([{ status: 'lost' }]);
      const { text } = await new HttpClient(api.url).get('/metrics');
      for (const unit of ['seconds', 'bytes']) expect(text).toContain(`studently_replica_lag_${unit}{standby="away"} +Inf`);
    } finally {
      await api.stop();
      await ask(`select pg_drop_replication_slot('away')`);
      await set('default');
    }
  }, 60_000);

  describe('of a standby that was made', () => {
    let target: string;
    let receiver = 0;
    const check = async (...args: string[]) => {
      const { code, out, err } = await studently(primary.settings, '--json', 'replication', 'check', ...args);
      if (out === '') throw new Error(err);
      return { code, report: JSON.parse(out) as ReplicationReport };
    };
    const address = () => `127.0.0.1:${port}`;

    beforeAll(async () => {
      target = newTarget();
      const made = await setup(target, '--name', 'second', '--port', String(port));
      expect(made).toMatchObject({ code: 0, err: '' });
      onFolder(target, 'start');
      await untilTrue(async () => (await sql<{ pid: number }>(there(), 'select pid from pg_stat_wal_receiver')).length > 0);
    }, 60_000);
    afterAll(() => {
      if (receiver) signal(receiver, 'SIGCONT');
      onFolder(target, 'stop', '-m', 'immediate');
    });

    it('SC-3 SEC-8 no configuration holds the password, and its file is for its user alone', async () => {
      const settings = readFileSync(join(target, 'postgresql.auto.conf'), 'utf8');
      expect(settings).toMatch(/primary_conninfo = .*passfile=/);
      expect(settings).not.toContain(SECRET);
      const { mode, uid } = statSync(`${target}.pgpass`);
      expect([mode & 0o777, uid]).toEqual([0o600, owner?.uid ?? process.getuid!()]);
      const again = await setup(target, '--name', 'second', '--port', String(port));
      expect(again).toMatchObject({ code: 0, err: '', out: expect.stringMatching(/is the standby second already/) });
    });

    it('SC-3 check finds a slot without a limit, with the command that mends it, and 2', async () => {
      const { code, report } = await check();
      expect(code).toBe(2);
      expect(report).toMatchObject({ slotLimit: '-1', standbys: [{ name: 'second', state: 'streaming', slot: 'second' }] });
      expect(report.findings).toHaveLength(1);
      runMend(report.findings[0]!.mend, primary.adminUrl);
      const well = await studently(primary.settings, 'replication', 'check');
      expect(well).toMatchObject({ code: 0, err: '' });
      expect(well.out).toMatch(
        /^standby +state +slot +timeline .*\nsecond +streaming +second .* not compared\nNo findings\n$/m,
      );
    });

    it('SC-3 check compares every row at one LSN, while others write', async () => {
      let writing = true;
      const writers = [1, 2].map(() =>
        withClient(primary.adminUrl, async (client) => {
          while (writing) await client.query(`insert into outbox (topic, payload) values ('test.topic', '{}')`);
        }),
      );
      for (let round = 0; round < 3; round++) {
        const { code, report } = await check(address());
        expect({ code, findings: report.findings }).toEqual({ code: 0, findings: [] });
        const [standby] = report.standbys;
        expect(standby).toMatchObject({ address: address(), timeline: report.timeline, equality: { differences: [] } });
        expect(standby!.equality!.rows).toBeGreaterThan(0);
        expect(standby!.secondsBehind).toBeLessThan(5);
      }
      writing = false;
      await Promise.all(writers);
    }, 60_000);

    it('SC-3 check finds a row that the standby has otherwise', async () => {
      await ask(`set role studently_owner; create table canaries as select 'canary-1' as canary; reset role`);
      const [{ file }] = (await ask<{ file: string }>(`select pg_relation_filepath('canaries') as file`)) as [{ file: string }];
      // Whoever reads it first marks it as committed, which is written too. Nothing of it may be replayed again afterwards.
      await untilTrue(async () => (await check(address())).code === 0);
      await ask('checkpoint');
      await untilTrue(async () => (await check(address())).code === 0);
      await sql(there(), 'checkpoint');
      onFolder(target, 'stop');
      execFileSync(join(BIN, 'pg_checksums'), ['--disable', '-D', target], { ...owner, stdio: 'ignore', cwd: folder });
      const path = join(target, file);
      const bytes = readFileSync(path);
      bytes.write('canary-2', bytes.indexOf('canary-1'));
      writeFileSync(path, bytes);
      onFolder(target, 'start');
      await untilTrue(async () => (await check()).code === 0);
      const { code, report } = await check(address());
      expect(code).toBe(2);
      expect(report.findings).toMatchObject([
        {
          severity: 'critical',
          what: expect.stringMatching(/does not hold what the primary does: canaries: its 1 rows are not the same/),
        },
      ]);
      await ask('drop table canaries');
      await untilTrue(async () => (await check(address())).code === 0);
    }, 60_000);

    it('SC-3 the lag metric stays true when the receiver is stopped, and when the standby is away', async () => {
      const api = await ApiProcess.start({ ...primary.settings, LOG_ACCESS: 'false' }); // alone, so that it measures
      try {
        const http = new HttpClient(api.url);
        const lag = async () => {
          const { text } = await http.get('/metrics');
          const value = (unit: string) =>
            Number(new RegExp(`^studently_replica_lag_${unit}{standby="second"} (.*)$`, 'm').exec(text)?.[1]);
          return { seconds: value('seconds'), bytes: value('bytes') };
        };
        const write = () => ask(`select pg_logical_emit_message(true, 'filler', repeat('x', 1000000))`);
        await write();
        await untilTrue(async () => (await lag()).seconds < 0.5);

        receiver = (await sql<{ pid: number }>(there(), 'select pid from pg_stat_wal_receiver'))[0]!.pid;
        signal(receiver, 'SIGSTOP');
        const stopped = Date.now();
        await sleep(1500);
        await write();
        const written = Date.now();
        // The server writes by itself as well, and the log is looked at each second.
        const secondsSince = (time: number) => (Date.now() - time) / 1000;
        for (const _ of [1, 2, 3]) {
          await sleep(1500);
          const least = secondsSince(written);
          const { seconds, bytes } = await lag();
          expect(seconds).toBeGreaterThan(least - 0.1);
          expect(seconds).toBeLessThan(secondsSince(stopped) + 2);
          expect(bytes).toBeGreaterThan(1_000_000);
        }
        // What the server itself says is what the standby has told last.
        const [told] = await ask<{ seconds: number | null }>(
          'select extract(epoch from replay_lag)::float8 as seconds from pg_stat_replication',
        );
        expect(told!.seconds ?? 0).toBeLessThan(1);
        const { code, report } = await check();
        expect(code).toBe(2);
        expect(report.standbys[0]).toMatchObject({ secondsBehind: null });

        signal(receiver, 'SIGCONT');
        receiver = 0;
        await untilTrue(async () => (await lag()).seconds < 0.5 && (await lag()).bytes < 1_000_000);

        onFolder(target, 'stop', '-m', 'fast');
        await write();
        await sleep(2500);
        const { seconds, bytes } = await lag();
        expect(seconds).toBeGreaterThan(1.5);
        expect(bytes).toBeGreaterThan(1_000_000);
        onFolder(target, 'start');
        await untilTrue(async () => (await lag()).seconds < 0.5);
      } finally {
        await api.stop();
      }
    }, 120_000);
  });
});

function signal(pid: number, name: NodeJS.Signals): void {
  process.kill(pid, name);
}

async function untilTrue(holds: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 30_000; !(await holds()); await sleep(100)) {
    if (Date.now() > end) throw new Error('It has not come to that.');
  }
}
