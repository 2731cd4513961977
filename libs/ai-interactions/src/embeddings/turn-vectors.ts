import { cutPassages } from '../domain/passages';
import { normalisedMean } from '../domain/vector';
import { embedEach } from './embed-each';
import type { Embeddings } from './embeddings';

/** What the model says about each of some messages; undefined where it says nothing. */
export type TurnVectors = (number[] | undefined)[];

/**
 * The mean of each message's passages, which go to the model in batches, whosever they are.
 * @throws what `ending` is aborted with
 */
export async function embedTurns(embeddings: Embeddings, texts: readonly string[], ending: AbortSignal): Promise<TurnVectors> {
  const passages = texts.flatMap((text, nr) => cutPassages(text).map(({ content }) => ({ nr, content })));
  const vectorsOf = texts.map((): number[][] => []);
  for (let from = 0; from < passages.length; from += embeddings.batch) {
    ending.throwIfAborted();
    const batch = passages.slice(from, from + embeddings.batch);
    const { vectors } = await embedEach(
      embeddings,
      batch.map(({ content }) => content),
      ending,
    );
    batch.forEach(({ nr }, at) => vectors[at] && vectorsOf[nr]!.push(vectors[at]));
  }
  return vectorsOf.map((vectors) => (vectors.length > 0 ? normalisedMean(vectors) : undefined));
}
