import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { verify } from '@node-rs/argon2';
import { answer } from './harness/processes';

/** For how long, on which hash. */
export interface BareArgon2 {
  hash: string;
  password: string;
  seconds: number;
}

/** Nothing but argon2id, on all cores at once. Answers how many a second. */
answer<BareArgon2, number>(async ({ hash, password, seconds }) => {
  let isOver = false;
  let verified = 0;
  const started = performance.now();
  const core = async () => {
    while (!isOver) {
      if (!(await verify(hash, password))) throw new Error('The password is not that of the hash.');
      verified += 1;
    }
  };
  const cores = Array.from({ length: availableParallelism() }, core);
  await sleep(seconds * 1000);
  isOver = true;
  await Promise.all(cores);
  return verified / ((performance.now() - started) / 1000);
});
