import 'reflect-metadata';
import { startBackupStage } from './support/backup-stage';
import { ApiProcess } from './support/api-process';
import { startRedis } from './support/servers';
import { sql } from './support/database';
import { Workspace } from './support/workspace';

async function main() {
  const w = new Workspace();
  const stage = await startBackupStage();
  const redis = await startRedis();
  const T = async (...args: string[]) => { const t = Date.now(); const r = await stage.backup(...args); process.stdout.write(`$ backup ${args.join(' ')}   [${Date.now() - t} ms, ${r.code}]\n${r.out}${r.err}\n`); return r; };
  try {
    const api = await ApiProcess.start({ ...stage.settings, STUDENTLY_SAMPLE: 'on' });
    await new Promise((r) => setTimeout(r, 8000));
    process.stdout.write(JSON.stringify(await sql(stage.adminUrl, "select pg_size_pretty(pg_database_size('studently')) size, (select count(*) from users) users, (select count(*) from chats) chats")) + '\n');
    await T('run', '--type', 'full');
    await T('run', '--type', 'diff');
    await T('list');
    await T('check');
    await T('drill');
    await T('restore', '--to', 'latest', '--target', stage.newFolder('restored'));
    await T('restore', '--to', '2026-11-01', '--target', stage.newFolder('restored2'));
    await api.stop('SIGKILL');
    await sql(stage.adminUrl, "create table filler as select g, (select string_agg(md5(random()::text || g), '') from generate_series(1, 60)) from generate_series(1, 235000) g");
    process.stdout.write(JSON.stringify(await sql(stage.adminUrl, "select pg_size_pretty(pg_database_size('studently')) size")) + '\n');
    await T('run', '--type', 'full');
    await T('restore', '--to', 'latest', '--target', stage.newFolder('big'));
    await T('drill');
  } finally {
    await redis.stop('SIGKILL');
    await stage.remove();
    await w.close();
  }
}
void main();
