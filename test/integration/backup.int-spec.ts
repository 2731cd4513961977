import { startBackupStage, type BackupStage } from '../support/backup-stage';

describe('backups of a served database', () => {
  let stage: BackupStage;
  beforeAll(async () => {
    stage = await startBackupStage();
  }, 60_000);
  afterAll(() => stage?.remove());

  it('tries', async () => {
    const T = async (...args: string[]) => { const t = Date.now(); const r = await stage.backup(...args); console.log(args.join(' '), Date.now() - t, r); return r; };
    await T('run', '--dry-run');
    await T('run');
    await T('list');
    await T('run', '--type', 'diff');
    await T('check');
    await T('restore', '--to', 'latest', '--target', stage.newFolder('r1'));
    await T('restore', '--to', new Date().toISOString(), '--target', stage.newFolder('r2'));
    await T('expire', '--dry-run');
  }, 200_000);
});
