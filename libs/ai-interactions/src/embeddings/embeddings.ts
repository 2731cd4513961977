/**
 * Makes vectors of what texts mean: 1536 numbers, those of a smaller model with zeros behind them, or undefined for a text in
 * which there is nothing that the model knows.
 */
export abstract class Embeddings {
  /** Stands beside each vector that it has made: no other vector is compared with its questions. */
  abstract readonly model: string;
  /** Of a longer passage it would not read the end. */
  abstract readonly maxWords: number;
  /** So many passages are best given at once. */
  abstract readonly batch: number;

  /** Somebody waits for it: answers or fails within five seconds. @throws EmbeddingsUnavailable, EmbeddingsAway */
  abstract embedQuestion(text: string): Promise<number[] | undefined>;

  /**
   * Waits for its turn behind questions, and as long as the model is away.
   * @param texts `batch` of them at most
   * @param ending gives up when it is aborted
   * @throws EmbeddingsUnavailable if one of the texts cannot be embedded: the others can, by themselves
   * @throws EmbeddingsAway if too many wait already, or the model stays away
   */
  abstract embedPassages(texts: readonly string[], ending?: AbortSignal): Promise<(number[] | undefined)[]>;

  /** The process ends. */
  async end(): Promise<void> {}
}
