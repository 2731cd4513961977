import { randomUUID } from 'node:crypto';
import { nextCursor, shownBefore } from './search-cursor';

const ids = (count: number) => Array.from({ length: count }, () => randomUUID());

describe('The cursor of a search', () => {
  it('holds what has been shown, page after page', () => {
    const [first, second] = [ids(10), ids(10)];
    const after = nextCursor([], first, 10)!;
    expect(shownBefore(after)).toEqual(first);
    expect(shownBefore(nextCursor(first, second, 10)!)).toEqual([...first, ...second]);
    expect(shownBefore(undefined)).toEqual([]);
  });

  it('ends where there is no more, and at 500', () => {
    expect(nextCursor([], ids(9), 10)).toBeNull();
    expect(nextCursor(ids(480), ids(10), 10)).not.toBeNull();
    expect(nextCursor(ids(490), ids(10), 10)).toBeNull();
  });

  it.each(['x', 'AAAA', '!', Buffer.alloc(16).toString('base64'), Buffer.alloc(501 * 16).toString('base64url')])(
    'is refused if it is not one of ours: %.20s',
    (cursor) => expect(() => shownBefore(cursor)).toThrow(expect.objectContaining({ code: 'VALIDATION_FAILED' })),
  );
});
