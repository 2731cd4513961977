import { createHash } from 'node:crypto';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { ConfigurationError } from '../../config/config';
import { Database } from '../../persistence/database';
import { SYSTEM } from '../actor';
import { LearnerKeys } from './learner-keys';

/** Beside the master keys stands the place of the learners' keys. */
export const STORE_ROW = "the store of the learners' keys";

const KNOWN = 'select id, check_value as "checkValue" from master_keys';
const CLAIM = `
  with claimed as (
    insert into master_keys (id, check_value) select * from unnest($1::text[], $2::bytea[])
    on conflict (id) do nothing returning id, check_value
  ) select id, check_value as "checkValue" from master_keys union select * from claimed`;

export interface CheckRow {
  id: string;
  checkValue: Buffer;
}

type Ask = (sql: string, values: unknown[]) => Promise<CheckRow[]>;

/** At the start: a process with other keys than those that the database is sealed with would write what nobody could read. */
@Injectable()
export class KeysCheck implements OnModuleInit {
  constructor(
    private readonly keys: LearnerKeys,
    private readonly database: Database,
  ) {}

  async onModuleInit(): Promise<void> {
    await checkKeys(this.keys, (sql, values) => this.database.write<CheckRow>(SYSTEM, sql, values));
  }
}

/** The first process says whose keys they are. @throws ConfigurationError `MASTER_KEY_MISMATCH`, `KEYS_DIR_MISMATCH` */
export async function checkKeys({ master, store }: LearnerKeys, ask: Ask): Promise<void> {
  const storeValue = createHash('sha256')
    .update(await store.id())
    .digest();
  const masterValue = await master.checkValue(master.currentId);
  const check = async (rows: readonly CheckRow[]) => {
    for (const { id, checkValue } of rows) {
      if (id === STORE_ROW) {
        if (!checkValue.equals(storeValue)) throw keysElsewhere();
      } else if (!(await master.checkValue(id))?.equals(checkValue)) throw wrongMaster(id);
    }
  };
  await check(await ask(KNOWN, [])); // a wrong start claims nothing, else the right ones would be refused from then on
  await check(
    await ask(CLAIM, [
      [master.currentId, STORE_ROW],
      [masterValue, storeValue],
    ]),
  );
}

function wrongMaster(id: string): ConfigurationError {
  return new ConfigurationError(
    'MASTER_KEY_MISMATCH',
    `This database is sealed with the master key "${id}", and the one that this process has is another or has no such line. ` +
      'Every process needs the same file: name it with MASTER_KEY_FILE (by default it is master.key in STUDENTLY_DATA_DIR). ' +
      'Lines of older keys stay in it until `studently keys rotate-master` is done.',
  );
}

function keysElsewhere(): ConfigurationError {
  return new ConfigurationError(
    'KEYS_DIR_MISMATCH',
    'The keys of the learners in this database are kept elsewhere. Every process needs the same folder: name it with ' +
      'KEYS_DIR (by default it is keys in STUDENTLY_DATA_DIR), or bring it back from a backup with its file store-id.',
  );
}
