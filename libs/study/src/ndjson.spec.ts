import { takeInChunks, View, Written, type LinesTaken } from '@studently/platform';
import { readStudyNdjson } from './ndjson';

const line = (reviews: number) =>
  JSON.stringify({
    type: 'flashcard',
    content: { front: 'a', back: 'b' },
    ...(reviews > 0 && {
      reviews: Array.from({ length: reviews }, (_, nr) => ({
        clientReviewId: `${nr}`,
        rating: 3,
        reviewedAt: '2020-01-01T00:00:00Z',
      })),
    }),
  });

/** How many reviews, and lines, each transaction takes. */
async function chunksOf(lines: number, reviews: number) {
  const chunks: { lines: number; reviews: number }[] = [];
  async function* source() {
    for (let nr = 0; nr < lines; nr++) yield Buffer.from(`${line(reviews)}\n`);
  }
  await takeInChunks(readStudyNdjson(source()), async (chunk) => {
    chunks.push({ lines: chunk.length, reviews: chunk.reduce((sum, { value }) => sum + (value.reviews?.length ?? 0), 0) });
    const { json } = View.of<LinesTaken>({ accepted: chunk.length, rejected: [] });
    return new Written<LinesTaken>(json, undefined, 'x');
  });
  return chunks;
}

describe('Study items from NDJSON', () => {
  it('PF-5 come in transactions that are short, also with all of their reviews', async () => {
    expect(await chunksOf(2500, 0)).toEqual([1000, 1000, 500].map((lines) => ({ lines, reviews: 0 })));
    const heavy = await chunksOf(1000, 60);
    expect(heavy.reduce((sum, { lines }) => sum + lines, 0)).toBe(1000);
    for (const { reviews } of heavy) expect(reviews).toBeLessThan(5000);
  });
});
