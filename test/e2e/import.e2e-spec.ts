import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { waysToRun } from '../support/api-process';
import { dataFolderOf } from '../support/data-folder';
import type { TestLearner } from '../support/http';
import { withClient } from '../support/servers';
import { CLI, studently, StudentlyProcess } from '../support/studently';
import { allPages, RunningApi, until } from './support';

const cards = (count: number) =>
  ['front,back', ...Array.from({ length: count }, (_, nr) => `term ${nr},meaning ${nr}`)].join('\n');

function* longCards(count: number): Generator<string> {
  yield 'front,back\n';
  for (let nr = 0; nr < count; nr++) yield `term ${nr},${'meaning '.repeat(25)}\n`;
}

describe.each(waysToRun)('studently import, $name', (way) => {
  const run = new RunningApi(way);
  let folder: string;
  let ada: TestLearner;
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'studently-import-'));
    ada = await run.newLearner();
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const file = (name: string, content: string) => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  const importing = (...args: string[]) => studently(run.settings, 'import', ...args, '--user', ada.email);
  /** What the learner has, and how much of it is different. */
  const items = () =>
    withClient(run.databaseUrl, async (client) => {
      // One simple message: parameters are several, and between them an embedded database may serve somebody else.
      const counted = await client.query<{ count: number; fronts: number }>(
        `select count(*)::int as count, count(distinct content ->> 'front')::int as fronts from study_items where user_id = '${ada.id}'`,
      );
      return counted.rows[0]!;
    });
  const moreThan = (count: number) => until(async () => (await items()).count >= count, 90_000);

  it('PF-5 brings cards from their packages, takes up a longer limit, and doubles nothing', async () => {
    expect(await importing('wordnet', '--limit', '300')).toEqual({ code: 0, out: '300 accepted, 0 rejected\n', err: '' });
    expect(await importing('wordnet', '--limit', '300')).toMatchObject({ code: 0, out: '300 accepted, 0 rejected\n' });
    expect((await items()).count).toBe(300);
    // By id, in capitals; the first 300 are there already.
    const more = await studently(run.settings, '--json', 'import', 'wordnet', '--limit', '500', '--user', ada.id.toUpperCase());
    expect({ ...more, out: JSON.parse(more.out) }).toEqual({
      code: 0,
      out: { accepted: 500, rejected: [], rejectedCount: 0, interrupted: false },
      err: '',
    });
    expect((await items()).count).toBe(500);
    expect((await importing('countries', '--limit', '20')).code).toBe(0);
    expect((await ada.http.get('/v1/study/items?limit=1')).body.items[0]).toMatchObject({
      type: 'flashcard',
      content: { front: expect.any(String), back: expect.any(String) },
    });
    expect((await items()).count).toBe(520);
  }, 60_000);

  describe('in the middle', () => {
    const named = () => ['--user', ada.email, '--batch', 'all of my cards'];
    /** 4,000 of 8,000 lines are sent, and then nothing: whenever it is stopped, it has not come to its end. */
    const stop = async (signal: NodeJS.Signals) => {
      const { child, ended } = new StudentlyProcess(run.settings, ['import', 'csv', '-', ...named()]);
      child.stdin!.on('error', () => undefined).write(`${cards(4000)}\n`);
      await moreThan(1000);
      child.kill(signal);
      return ended;
    };
    const goOn = () => studently(run.settings, 'import', 'csv', file('cards.csv', cards(8000)), ...named());

    it('PF-5 goes on after kill -9 in the middle, and takes no line twice', async () => {
      expect((await stop('SIGKILL')).code).toBeNull();
      expect(await goOn()).toMatchObject({ code: 0, out: '8,000 accepted, 0 rejected\n' });
      expect(await items()).toEqual({ count: 8000, fronts: 8000 });
    }, 120_000);

    it('stops at Ctrl-C and says how it goes on', async () => {
      const { code, out } = await stop('SIGINT');
      expect({ code, out }).toEqual({ code: 130, out: expect.stringContaining('the same command goes on from there') });
      const accepted = Number(/^([\d,]+) accepted/.exec(out)![1]!.replace(',', ''));
      expect(await items()).toEqual({ count: accepted, fronts: accepted });
      expect(await goOn()).toMatchObject({ code: 0, out: '8,000 accepted, 0 rejected\n' });
      expect(await items()).toEqual({ count: 8000, fronts: 8000 });
    }, 120_000);
  });

  it('takes what is good, names what is not, and ends with 2', async () => {
    const csv = file('cards.csv', 'type,front,back\nflashcard,a,b\nflashcard,only a front,\nnonsense,a,b\n,c,d\n');
    const { code, out, err } = await importing('csv', csv);
    expect({ code, err }).toEqual({ code: 2, err: '' });
    expect(out).toMatch(/^2 accepted, 2 rejected \(first: line 3, VALIDATION_FAILED: content\.?back/);
    const ndjson = file('items.ndjson', '{"type":"note","content":{"markdown":"# yes"}}\n{"type":\n');
    expect(JSON.parse((await importing('ndjson', ndjson, '--json')).out)).toEqual({
      accepted: 1,
      rejected: [{ line: 2, code: 'MALFORMED_JSON', detail: 'The line is not JSON.' }],
      rejectedCount: 1,
      interrupted: false,
    });
    expect((await items()).count).toBe(3);
  }, 60_000);

  it('makes documents of Markdown and of NDJSON, once', async () => {
    file('first.md', '# The first\ntext');
    file('second.md', 'no heading');
    expect((await importing('markdown', folder)).out).toBe('2 accepted, 0 rejected\n');
    file('between.md', '# In between');
    expect((await importing('markdown', folder)).out).toBe('3 accepted, 0 rejected\n');
    const lines = file('documents.ndjson', '{"type":"markdown","title":"A line","content":"of NDJSON"}\n');
    expect((await importing('ndjson', lines, '--documents')).code).toBe(0);
    expect((await importing('ndjson', lines, '--documents')).code).toBe(0);
    const documents = await allPages<{ title: string }>(ada.http, '/v1/documents', 50);
    expect(documents.map(({ title }) => title).sort()).toEqual(['A line', 'In between', 'The first', 'second.md']);
  }, 60_000);

  it('makes documents of HTML, of FOLDOC and of the manual of PostgreSQL, once', async () => {
    file('page.html', '<title>A page</title><p>text</p>');
    for (const source of [
      ['html', folder],
      ['foldoc', '--limit', '3'],
      ['postgresql-doc', '--limit', '2'],
    ]) {
      for (const time of ['first', 'second'])
        expect([time, await importing(...source)]).toMatchObject([
          time,
          { code: 0, out: expect.stringMatching(/^[123] accepted, 0 rej/) },
        ]);
    }
    expect(await allPages(ada.http, '/v1/documents', 50)).toHaveLength(6);
  }, 120_000);

  it('reads the standard input, resumable under a name', async () => {
    const pipe = async () => {
      const process = new StudentlyProcess(run.settings, ['import', 'csv', '-', '--user', ada.email, '--batch', 'my cards']);
      process.child.stdin!.end(cards(10));
      return (await process.ended).out;
    };
    expect(await pipe()).toBe('10 accepted, 0 rejected\n');
    expect(await pipe()).toBe('10 accepted, 0 rejected\n');
    expect((await items()).count).toBe(10);
  }, 60_000);

  it('shows on a terminal how far it is', async () => {
    const command = [process.execPath, CLI, 'import', 'wordnet', '--limit', '12000', '--user', ada.email].join(' ');
    const log = join(folder, 'terminal');
    await promisify(execFile)('script', ['-qec', command, log], {
      env: { PATH: process.env['PATH'], ...dataFolderOf(run.settings), ...run.settings },
    });
    const shown = readFileSync(log, 'utf8');
    expect(shown).toMatch(/ [1-9]\d?% \| \d+,000 lines \|/); // as often as it is drawn
    expect(shown).toContain('12,000 accepted, 0 rejected');
  }, 60_000);

  it('says what it cannot work with', async () => {
    expect(await studently(run.settings, 'import', 'countries', '--user', 'nobody@example.org')).toEqual({
      code: 1,
      out: '',
      err: 'No user has this address or id.\n',
    });
    for (const wrong of [
      ['csv', join(folder, 'missing.csv'), '--user', ada.email],
      ['csv', folder, '--user', ada.email],
      ['markdown', join(folder, 'missing'), '--user', ada.email],
      ['html', join(folder, 'missing'), '--user', ada.email],
      ['wordnet'],
      ['wordnet', '--user', ada.email, '--limit', 'many'],
    ]) {
      const { code, err } = await studently(run.settings, 'import', ...wrong);
      expect([wrong, code, err.includes('--help')]).toEqual([wrong, 64, true]);
    }
  }, 60_000);

  if (way.name !== 'embedded') {
    it('PF-5 needs no more memory for 100,000 lines than for the first of them', async () => {
      // A heap that could not hold 100,000 cards.
      const settings = { ...run.settings, NODE_OPTIONS: '--max-old-space-size=96' };
      const { child, ended } = new StudentlyProcess(settings, ['import', 'csv', '-', '--user', ada.email]);
      // Read while it runs: once the last line is stored, the process may be gone before one looks.
      let mebibytes = 0;
      const reading = setInterval(() => {
        try {
          mebibytes =
            Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1] ?? mebibytes * 1024) / 1024;
        } catch {
          clearInterval(reading);
        }
      }, 50);
      Readable.from(longCards(100_000)).pipe(child.stdin!);
      await moreThan(30_000);
      const early = mebibytes;
      expect(await ended).toEqual({ code: 0, out: '100,000 accepted, 0 rejected\n', err: '' });
      clearInterval(reading);
      process.stdout.write(
        `import of 100,000 lines: ${early.toFixed(0)} MiB at 30,000, ${mebibytes.toFixed(0)} MiB at the end\n`,
      );
      expect(early).toBeGreaterThan(0);
      expect(mebibytes).toBeLessThan(350);
    }, 180_000);
  }
});
