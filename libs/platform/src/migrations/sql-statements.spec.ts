import { statementsIn } from './sql-statements';

describe('statementsIn', () => {
  const codes = (script: string) => statementsIn(script).map(({ code }) => code);

  it.each([
    ['two', 'select 1; select 2;', ['select 1', 'select 2']],
    ['none', ' ;; -- nothing\n /* ; */ ', []],
    ['a comment with a semicolon', 'select 1 -- one; two\n, 2', ['select 1 , 2']],
    ['nested comments', 'select /* a /* ; */ ; */ 1; select 2', ['select 1', 'select 2']],
    ['strings', `select ';', 'it''s;', E'\\\\';`, [`select ';', 'it''s;', E'\\\\'`]],
    ['an escaped quote', `select E'\\';'; select 2`, [`select E'\\';'`, 'select 2']],
    ['a quoted name', 'select 1 as "a;""b"; select 2', ['select 1 as "a;""b"', 'select 2']],
    ['a body', 'do $$ begin; end $$; do $a$ $$; $a$', ['do $$ begin; end $$', 'do $a$ $$; $a$']],
    ['a dollar in a name', 'select a$b$c; select 2', ['select a$b$c', 'select 2']],
    ['a parameter', 'select $1; select 2', ['select $1', 'select 2']],
  ])('tells %s apart', (_, script, expected) => {
    expect(codes(script)).toEqual(expected);
  });

  it('says where the first word of each is', () => {
    expect(statementsIn('-- why\n\nselect 1;\n\n/* a\nb */ select\n2;', 10).map(({ line }) => line)).toEqual([12, 15]);
  });

  it('refuses what is not closed', () => {
    expect(() => statementsIn('select 1;\ndo $$ begin')).toThrow('$$ of line 2 is not closed');
    expect(() => statementsIn('/* ;')).toThrow('not closed');
  });
});
