import * as fc from 'fast-check';
import { pageOf } from './paging';

interface Item {
  createdAt: string;
  id: string;
}

const id = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
/** Newest first, by (createdAt, id): as the database sorts. */
const sorted = (items: Item[]) => items.toSorted((a, b) => (`${a.createdAt} ${a.id}` < `${b.createdAt} ${b.id}` ? 1 : -1));
const page = (items: Item[], limit: number, cursor?: string) =>
  pageOf<Item>({ limit, cursor }, async (after, count) =>
    sorted(items)
      .filter((item) => !after || `${item.createdAt} ${item.id}` < `${after.createdAt} ${after.id}`)
      .slice(0, count)
      .map((item) => ({ ...item, json: JSON.stringify(item) })),
  );

describe('A list in pages', () => {
  it('shows every item once and in order, whatever the limit, also where many are of the same moment', async () => {
    const moments = fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(moments, fc.integer({ min: 1, max: 12 }), async (times, limit) => {
        const items = times.map((time, n) => ({ createdAt: `2026-01-01T00:00:00.00${time}Z`, id: id(n) }));
        const shown: Item[] = [];
        let cursor: string | null | undefined;
        for (let pages = 0; cursor !== null; pages++) {
          const { value } = await page(items, limit, cursor);
          shown.push(...value.items);
          cursor = value.nextCursor;
          expect(value.items.length).toBeLessThanOrEqual(limit);
          expect(pages).toBeLessThanOrEqual(items.length);
        }
        expect(shown).toEqual(sorted(items));
      }),
    );
  });

  it('ends where the next item does not fit any more, and goes on there', async () => {
    const items = [1, 2, 3, 4, 5].map((n) => ({ createdAt: `2026-01-01T00:00:00.00${n}Z`, id: id(n) }));
    const fitting = (cursor?: string) =>
      pageOf<Item>({ limit: 4, cursor }, async (after, count) =>
        sorted(items)
          .filter((item) => !after || item.id < after.id)
          .slice(0, count)
          .map((item, nr) => ({ ...item, json: nr < 2 ? JSON.stringify(item) : null })),
      );
    const pages: string[][] = [];
    for (let cursor: string | null | undefined; cursor !== null;) {
      const { value } = await fitting(cursor);
      pages.push(value.items.map((item) => item.id));
      cursor = value.nextCursor;
    }
    expect(pages).toEqual([[id(5), id(4)], [id(3), id(2)], [id(1)]]);
  });

  it('is empty where there is nothing, and has no next page where it just fits', async () => {
    const one = { createdAt: '2026-01-01T00:00:00.000Z', id: id(1) };
    expect((await page([], 5)).json).toBe('{"items":[],"nextCursor":null}');
    expect((await page([one], 1)).value).toEqual({ items: [one], nextCursor: null });
  });

  it('neither repeats nor hides others when items come and go between two pages', async () => {
    const items = [1, 2, 3, 4, 5, 6].map((n) => ({ createdAt: `2026-01-01T00:00:00.00${n}Z`, id: id(n) }));
    const first = (await page(items, 2)).value;
    const newer = { createdAt: '2026-01-01T00:00:01.000Z', id: id(7) };
    const withoutSeen = [newer, ...items.filter((item) => item.id !== id(6))];
    const second = (await page(withoutSeen, 2, first.nextCursor!)).value;
    expect([...first.items, ...second.items].map((item) => item.id)).toEqual([id(6), id(5), id(4), id(3)]);
  });

  it.each([
    ['nothing', ''],
    ['a word', 'cursor'],
    ['only a time', Buffer.from('2026-01-01T00:00:00.000Z').toString('base64url')],
    ['a time that is none', Buffer.from(`2026-13-41T00:00:00.000Z.${id(1)}`).toString('base64url')],
    ['an id that is none', Buffer.from('2026-01-01T00:00:00.000Z.1').toString('base64url')],
    ['SQL', Buffer.from(`2026-01-01T00:00:00.000Z.${id(1)}' or true`).toString('base64url')],
  ])('refuses a cursor that is %s', async (_, cursor) => {
    await expect(page([], 5, cursor)).rejects.toMatchObject({
      code: 'VALIDATION_FAILED',
      details: { faults: [{ path: 'cursor' }] },
    });
  });
});
