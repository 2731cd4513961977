import { FilterUnknown } from '../../domain/document.errors';
import { conditionOf, type DocumentFilter } from './document-filter';

describe('The filter of a search', () => {
  it.each<[string, DocumentFilter, ReturnType<typeof conditionOf>]>([
    ['nothing', {}, undefined],
    ['no field', { metadata: {} }, undefined],
    ['a type', { type: 'note' }, { types: ['note'] }],
    ['one of some types', { type: { $in: ['note', 'essay'] } }, { types: ['note', 'essay'] }],
    ['a value', { metadata: { course: 'physics' } }, { contained: { course: 'physics' } }],
    ['a part of an object', { metadata: { author: { name: 'Ada' } } }, { contained: { author: { name: 'Ada' } } }],
    ['a range', { metadata: { year: { $gte: 2024, $lt: 2026 } } }, { path: '($."year" >= 2024) && ($."year" < 2026)' }],
    ['one of some values', { metadata: { year: { $in: [2024, null] } } }, { path: '($."year" == 2024 || $."year" == null)' }],
    ['one of no values', { metadata: { year: { $in: [] } } }, { path: '(1 == 0)' }],
    ['being there', { metadata: { year: { $exists: true } } }, { path: 'exists($."year")' }],
    ['not being there', { metadata: { year: { $exists: false } } }, { path: '!exists($."year")' }],
    ['an element', { metadata: { tags: { $contains: 'a' } } }, { path: 'exists($."tags"[*] ? (@ == "a"))' }],
    [
      'all of it',
      { type: 'note', metadata: { course: 'physics', year: { $eq: 2024 } } },
      { types: ['note'], contained: { course: 'physics' }, path: '($."year" == 2024)' },
    ],
    ['a hostile name', { metadata: { '" || true || "': { $eq: 1 } } }, { path: '($."\\" || true || \\"" == 1)' }],
  ])('AI-10 is %s', (_, filter, condition) => {
    expect(conditionOf(filter)).toEqual(condition);
  });

  it.each<[string, object]>([
    ['a field of the search', { author: 'x' }],
    ['an operator', { metadata: { year: { $near: 1 } } }],
    ['a value of an operator', { metadata: { year: { $gte: { $gte: 1 } } } }],
    ['a list that is too long', { metadata: { year: { $in: Array.from({ length: 101 }, (_, nr) => nr) } } }],
    ['a list that is none', { metadata: { year: { $in: 2024 } } }],
    ['an operator beside a field', { metadata: { year: { $gte: 2024, month: 5 } } }],
  ])('AI-10 is refused by name if it is not known: %s', (_, filter) => {
    expect(() => conditionOf(filter)).toThrow(FilterUnknown);
  });
});
