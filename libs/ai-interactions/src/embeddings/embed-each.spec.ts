import { EmbeddingsAway, EmbeddingsUnavailable } from '../domain/document.errors';
import { embedEach } from './embed-each';
import { Embeddings } from './embeddings';

/** Answers with the lengths of the texts; "poison" makes it fail. */
class Model extends Embeddings {
  readonly model = 'lengths';
  readonly maxWords = 60;
  readonly batch = 64;
  asked = 0;

  constructor(private readonly error: Error) {
    super();
  }

  async embedQuestion() {
    return undefined;
  }

  async embedPassages(texts: readonly string[]) {
    this.asked++;
    if (texts.includes('poison')) throw this.error;
    return texts.map(({ length }) => [length]);
  }
}

const among = (count: number) => Array.from({ length: count }, (_, nr) => (nr === 37 ? 'poison' : 'x'.repeat(nr)));

describe('Embedding what can be embedded', () => {
  it('goes around the text that makes the model fail, in few steps, and says why it has no vector', async () => {
    const model = new Model(new EmbeddingsUnavailable('EMBEDDING_REFUSED'));
    const { vectors, failure } = await embedEach(model, among(64));
    expect(vectors).toEqual(among(64).map((text) => (text === 'poison' ? undefined : [text.length])));
    expect(failure).toBe('EMBEDDING_REFUSED');
    expect(model.asked).toBe(1 + 2 * Math.log2(64));
  });

  it('does not look for a culprit where nothing fails, or everything', async () => {
    const model = new Model(new EmbeddingsAway());
    expect(await embedEach(model, ['ab', 'c'])).toEqual({ vectors: [[2], [1]] });
    await expect(embedEach(model, among(64))).rejects.toBeInstanceOf(EmbeddingsAway);
    expect(model.asked).toBe(2);
    const denied = new Model(new EmbeddingsUnavailable('EMBEDDING_WRONG_DIMENSION', true));
    await expect(embedEach(denied, among(64))).rejects.toMatchObject({ failure: 'EMBEDDING_WRONG_DIMENSION' });
    expect(denied.asked).toBe(1);
  });
});
