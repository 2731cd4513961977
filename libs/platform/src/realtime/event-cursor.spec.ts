import { decodeEventCursor, encodeEventCursor, isAhead, type EventCursor } from './event-cursor';

const timeline = '7711923009805349059-0000000A';
const text = (...parts: string[]) => Buffer.from(['1', timeline, ...parts].join('!')).toString('base64url');

describe('the cursor of events', () => {
  it.each<[string, EventCursor]>([
    ['at the end of a batch', { timeline, since: '752:752:' }],
    ['with others under way', { timeline, since: '752:760:752,755,759' }],
    ['in a batch', { timeline, since: '752:752:', batch: { until: '760:761:760', after: '9007199254740993' } }],
  ])('OV-3 comes back as it was: %s', (_where, cursor) => {
    expect(decodeEventCursor(encodeEventCursor(cursor))).toEqual(cursor);
    expect(encodeEventCursor(cursor)).toMatch(/^[\w-]+$/);
  });

  it.each([
    ['nothing of ours', 'x'],
    ['text', Buffer.from('garbage').toString('base64url')],
    ['another version', Buffer.from(`2!${timeline}!752:752:`).toString('base64url')],
    ['no timeline', Buffer.from('1!7!752:752:').toString('base64url')],
    ['no snapshot', text('752')],
    ['a snapshot that goes backwards', text('752:751:')],
    ['a snapshot from nothing', text('0:751:')],
    ['under way beyond the end', text('752:753:753')],
    ['under way before the beginning', text('752:760:751')],
    ['under way in disorder', text('752:760:755,753')],
    ['a comma too many', text('752:760:755,')],
    ['a number that PostgreSQL does not have', text('752:9999999999999999999:')],
    ['half a batch', text('752:752:', '760:761:')],
    ['a batch with a broken end', text('752:752:', '760', '1')],
    ['a batch after more than there can be', text('752:752:', '760:761:', '9999999999999999999')],
    ['SQL', text("752:752:'; drop table users; --")],
  ])('OV-3 is refused if it is %s', (_what, id) => {
    expect(() => decodeEventCursor(id)).toThrow(expect.objectContaining({ code: 'VALIDATION_FAILED' }));
  });

  it('is ahead of a server that has not begun as many transactions', () => {
    expect(isAhead('752:760:', '752:759:')).toBe(true);
    expect(isAhead('752:760:', '700:760:')).toBe(false);
    expect(isAhead('9:10:', '99:100:')).toBe(false);
  });
});
