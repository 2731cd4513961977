import { join } from 'node:path';
import { Global, Module } from '@nestjs/common';
import { SETTINGS, type Settings } from '../../config/config';
import { FileKeyStore } from './file-key-store';
import { KeysCheck } from './keys-check';
import { LearnerKeys } from './learner-keys';
import { FileMasterKey } from './master-key';

/** The keys as the settings say where they are. @throws ConfigurationError */
export async function openKeys(
  settings: Pick<Settings, 'MASTER_KEY_FILE' | 'KEYS_DIR' | 'STUDENTLY_DATA_DIR'>,
): Promise<LearnerKeys> {
  const { MASTER_KEY_FILE: file, KEYS_DIR: folder, STUDENTLY_DATA_DIR: data } = settings;
  const master = await FileMasterKey.open(file ?? join(data, 'master.key'), { make: file === undefined });
  return new LearnerKeys(master, new FileKeyStore(folder ?? join(data, 'keys')));
}

/** Every choice of where keys are kept is made here. */
@Global()
@Module({
  providers: [{ provide: LearnerKeys, inject: [SETTINGS], useFactory: openKeys }, KeysCheck],
  exports: [LearnerKeys],
})
export class KeysModule {}
