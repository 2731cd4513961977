import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkServer, SYSTEM } from '@studently/platform';
import { LoneConnection } from '../../libs/platform/src/persistence/lone-connection';
import type { ApiProcess } from '../support/api-process';
import { HttpClient, newLearner, type Answer, type TestLearner } from '../support/http';
import { DATABASE, startApi, startServers } from '../support/platform';
import { startStandby, withClient, type PostgresServer } from '../support/servers';
import { describeServed } from '../support/served';
import { Workspace } from '../support/workspace';

describeServed('a server where nothing can be written', () => {
  let workspace: Workspace & { progress: () => void };
  let urlFile: string;
  let primary: PostgresServer;
  let standby: PostgresServer;
  let api: ApiProcess;
  let learner: TestLearner;
  beforeAll(async () => {
    workspace = Object.assign(new Workspace(), { progress: () => undefined });
    urlFile = join(workspace.folder, 'database-url');
    const servers = await startServers(workspace);
    primary = servers.postgres;
    standby = await workspace.use(
      () => startStandby(primary, 'standby1'),
      (server) => server.remove(),
    );
    writeFileSync(urlFile, primary.appUrl(DATABASE));
    const { DATABASE_URL: _, ...settings } = servers.settings;
    api = await startApi(workspace, { ...settings, DATABASE_URL_FILE: urlFile, DATABASE_POOL_SIZE: '1' });
    learner = await newLearner(new HttpClient(api.url));
  }, 60_000);
  afterAll(() => workspace.close());

  const write = () => learner.http.post('/v1/chats', { title: 'Photosynthesis' });
  const expectUnavailable = ({ status, headers, body }: Answer) => {
    expect({ status, code: body.code }).toEqual({ status: 503, code: 'DATABASE_UNAVAILABLE' });
    expect(Number(headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
  };
  const ask = async <Row extends object>(server: PostgresServer, text: string, values: unknown[] = []): Promise<Row[]> =>
    withClient(server.url(DATABASE), async (client) => (await client.query<Row & Record<string, unknown>>(text, values)).rows);
  const pids = async () =>
    (await ask<{ pid: number }>(primary, "select pid from pg_stat_activity where application_name = 'studently'")).map(
      ({ pid }) => pid,
    );

  it('SC-2 is not used again once a write was refused there, and writes are answered by 503 until they can be done', async () => {
    expect((await write()).status).toBe(201);
    const before = await pids();
    expect(before).toHaveLength(1);
    await ask(primary, 'alter system set default_transaction_read_only = on');
    await ask(primary, 'select pg_reload_conf()');
    await sleep(200);
    expectUnavailable(await write());
    await sleep(100);
    expect(await pids()).not.toContain(before[0]);
    await ask(primary, 'alter system reset default_transaction_read_only');
    await ask(primary, 'select pg_reload_conf()');
    await sleep(200);
    expect((await write()).status).toBe(201);
  });

  it('SC-2 is no server for the start of a process', async () => {
    await expect(checkServer({ url: standby.appUrl(DATABASE), embedded: false })).rejects.toMatchObject({
      code: 'DATABASE_IS_STANDBY',
    });
  });

  it('SC-2 does not say which sessions have ended', async () => {
    const lone = new LoneConnection({ url: standby.appUrl(DATABASE), embedded: false }, 'studently sessions');
    await expect(lone.read(SYSTEM, 'select 1', [])).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
  });

  it('SC-2 answers nothing while the address leads to it, and all again once it has taken over', async () => {
    const [{ at }] = (await ask<{ at: string }>(primary, 'select pg_current_wal_flush_lsn()::text as at')) as [{ at: string }];
    const hasAll = 'select pg_last_wal_replay_lsn() >= $1::pg_lsn as yes';
    while (!(await ask<{ yes: boolean }>(standby, hasAll, [at]))[0]!.yes) await sleep(20);
    writeFileSync(urlFile, standby.appUrl(DATABASE));
    await ask(primary, "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'studently%'");
    await sleep(200);

    expectUnavailable(await learner.http.get('/v1/chats'));
    expectUnavailable(await write());
    const ready = await new HttpClient(api.url).get('/health/ready');
    expect(ready).toMatchObject({ status: 503, body: { status: 'down', checks: { postgres: { status: 'down' } } } });

    await ask(standby, 'select pg_promote()');
    expect((await write()).status).toBe(201);
    expect((await learner.http.get('/v1/chats')).body.items).toHaveLength(3);
    expect((await new HttpClient(api.url).get('/health/ready')).body.status).toBe('ok');
  });
});
