import { constants, setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';
import { hashSync, verifySync, type Options } from '@node-rs/argon2';

/** What the thread is asked: to hash a password, or to hold it against a hash. */
export type ThreadQuestion = { password: string } & ({ options: Options } | { hash: string });
export type ThreadAnswer = { hash: string } | { matches: boolean } | { failure: string };

// On Linux this is about the thread alone: requests that hash nothing go before those that do, however many log in.
// At the lowest priority nobody could log in on a machine that is busy with something else.
if (process.platform === 'linux') setPriority(constants.priority.PRIORITY_BELOW_NORMAL);

function answer(question: ThreadQuestion): ThreadAnswer {
  try {
    if ('hash' in question) return { matches: verifySync(question.hash, question.password) };
    return { hash: hashSync(question.password, question.options) };
  } catch (error) {
    return { failure: error instanceof Error ? error.message : 'failure' };
  }
}

parentPort!.on('message', (question: ThreadQuestion) => parentPort!.postMessage(answer(question)));
