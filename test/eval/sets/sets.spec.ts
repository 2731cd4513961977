import { pairsIn } from './faq';
import { chosen } from './judged-set';
import { entriesOf } from './postgresql-index';

describe('Pairs of a FAQ', () => {
  it('are headings that ask and what stands below them', () => {
    const page = `<h1>Chapter 1. Basics</h1><p>This chapter is about several things.</p><h2>1.1. What is it?</h2><p>It is what you see there.</p>
<h3>1.2.1. And why?</h3><p>See above.</p><h2>1.3. No question</h2><p>It is nothing that anybody would ask.</p>`;
    expect(pairsIn(page)).toEqual([{ question: 'What is it?', answer: 'It is what you see there.' }]);
  });
});

describe('The index of a manual', () => {
  it('has terms with their subterms and the pages that they lead to, each once', () => {
    const index = `<dl><dt>lock, <a class="indexterm" href="lock.html#A">Locks</a>, <a class="indexterm" href="lock.html#B">More</a></dt>
<dd><dl><dt>advisory, <a class="indexterm" href="advisory.html">Advisory</a></dt><dt>row, <a class="indexterm" href="rows.html">Rows</a></dt></dl></dd>
<dt>see-only (see <a href="#x">lock</a>)</dt></dl>`;
    expect([...entriesOf(index)].map(([term, pages]) => [term, [...pages]])).toEqual([
      ['lock', ['lock.html']],
      ['lock advisory', ['advisory.html']],
      ['lock row', ['rows.html']],
    ]);
  });
});

describe('What is chosen', () => {
  const all = Array.from({ length: 100 }, (_, nr) => `item ${nr}`);

  it('depends on the seed and on nothing else', () => {
    const some = chosen(all, 10, 1, (item) => item);
    expect(chosen([...all].reverse(), 10, 1, (item) => item)).toEqual(some);
    expect(chosen(all, 10, 2, (item) => item)).not.toEqual(some);
    expect(chosen(all, 1000, 1, (item) => item)).toHaveLength(100);
  });
});
