import fc from 'fast-check';
import { fingerprintOf, planWithoutLiterals, withoutLiterals } from './literals';

describe('Statements without literals', () => {
  it.each([
    [
      `select * from chats where title = 'my ''secret''' and id = $1 limit 20`,
      'select * from chats where title = ? and id = $1 limit ?',
    ],
    [`select E'it\\'s mine', 1.5e3, -2, x1, "a 1", t.c2`, 'select ?, ?, -?, x1, "a 1", t.c2'],
    [`select $$secret$$, $a$se$$cret$a$`, 'select ?, ?'],
    [`select 1 -- of Ada\n, /* secret */ 2`, 'select ?  \n,   ?'],
    [`(user_id = 'a'::uuid) AND (embedding <=> '[0.1,0.2]'::vector)`, '(user_id = ?::uuid) AND (embedding <=> ?::vector)'],
    [`select 'never ends`, 'select ?'],
  ])('MO-3 %s', (given, expected) => expect(withoutLiterals(given)).toBe(expected));

  it('MO-3 never shows what somebody has written into a string', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (text) => {
        const quoted = `'${text.replaceAll("'", "''")}'`;
        expect(withoutLiterals(`select * from t where a = ${quoted} and b = $1`)).toBe(
          'select * from t where a = ? and b = $1',
        );
      }),
    );
  });

  it('MO-3 a statement has one fingerprint, as it is sent and as pg_stat_statements shows it', () => {
    const sent = `\n  select id, true from chats\n where user_id = $1 and version > -1 and title is not null and at > now() - interval '1 day' limit 20;`;
    const shown = `select id, $2 from chats\n where user_id = $1 and version > $3 and title is not null and at > now() - interval $4 limit $5`;
    expect(fingerprintOf(sent)).toBe(fingerprintOf(shown));
    expect(fingerprintOf(sent)).not.toBe(fingerprintOf(sent.replace('chats', 'documents')));
    expect(fingerprintOf(sent)).toMatch(/^[0-9a-f]{16}$/);
  });

  it('MO-3 a plan keeps its shape, and loses the statement and its values', () => {
    const plan = {
      'Query Text': 'select secret',
      Plan: { 'Node Type': 'Seq Scan', 'Plan Rows': 7, Filter: `(title = 'secret'::text)`, Plans: [{ Alias: 'c1' }] },
    };
    expect(planWithoutLiterals(plan)).toEqual({
      Plan: { 'Node Type': 'Seq Scan', 'Plan Rows': 7, Filter: '(title = ?::text)', Plans: [{ Alias: 'c1' }] },
    });
  });
});
