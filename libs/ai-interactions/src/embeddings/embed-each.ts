import { EmbeddingsUnavailable, type EmbeddingFailure } from '../domain/document.errors';
import type { Embeddings } from './embeddings';

export interface Embedded {
  vectors: (number[] | undefined)[];
  /** Why one of the texts has no vector, if the model has failed on it. */
  failure?: EmbeddingFailure;
}

/** Embeds what can be embedded: a text that makes the model fail is found by halving, and the others have their vectors. */
export async function embedEach(embeddings: Embeddings, texts: readonly string[], ending?: AbortSignal): Promise<Embedded> {
  try {
    return { vectors: await embeddings.embedPassages(texts, ending) };
  } catch (error) {
    if (!(error instanceof EmbeddingsUnavailable) || error.isOfAll) throw error;
    if (texts.length === 1) return { vectors: [undefined], failure: error.failure };
    const half = Math.ceil(texts.length / 2);
    const one = await embedEach(embeddings, texts.slice(0, half), ending);
    const other = await embedEach(embeddings, texts.slice(half), ending);
    return { vectors: [...one.vectors, ...other.vectors], failure: one.failure ?? other.failure };
  }
}
