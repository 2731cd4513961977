import type { LearnerKeys } from '@studently/platform';
import { cutPassages } from '../domain/passages';
import { normalisedMean } from '../domain/vector';
import { embedEach, type Embedded } from './embed-each';
import type { Embeddings } from './embeddings';

/** A message as it lies in its table. */
export interface StoredMessage {
  id: string;
  seq: number;
  content: string | null;
  contentSealed: Buffer | null;
}

/** @throws SealedDataUnreadable */
export async function textOf(
  keys: LearnerKeys,
  userId: string,
  { id, content, contentSealed }: StoredMessage,
): Promise<string> {
  if (!contentSealed) return content!;
  return (await keys.toOpen(userId)).open('chat_messages.content', id, contentSealed);
}

/**
 * The mean of each message's passages, which go to the model in batches, whosever they are.
 * @throws what `ending` is aborted with
 */
export async function embedTurns(embeddings: Embeddings, texts: readonly string[], ending: AbortSignal): Promise<Embedded> {
  const passages = texts.flatMap((text, nr) => cutPassages(text).map(({ content }) => ({ nr, content })));
  const vectorsOf = texts.map((): number[][] => []);
  let failure: Embedded['failure'];
  for (let from = 0; from < passages.length; from += embeddings.batch) {
    ending.throwIfAborted();
    const batch = passages.slice(from, from + embeddings.batch);
    const embedded = await embedEach(
      embeddings,
      batch.map(({ content }) => content),
      ending,
    );
    failure ??= embedded.failure;
    batch.forEach(({ nr }, at) => embedded.vectors[at] && vectorsOf[nr]!.push(embedded.vectors[at]));
  }
  return { vectors: vectorsOf.map((vectors) => (vectors.length > 0 ? normalisedMean(vectors) : undefined)), failure };
}
