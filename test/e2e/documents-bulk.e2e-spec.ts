import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { ApiProcess } from '../support/api-process';
import { sql } from '../support/database';
import { HttpClient, newLearner } from '../support/http';
import { describeServed, openServed } from '../support/served';
import { databaseUrlOf, until } from './support';

const DOCUMENTS = 10_000;
/** One in so many brings its embedding. */
const EMBEDDED = 4;
const VECTOR = [1, ...Array<number>(1535).fill(0)];
/** Their lines are long, 160 MB in all, of which little is kept: white space, as from a writer that aligns its columns. */
const PADDING = ' '.repeat(16_384);
/** Holds a running API, and not these documents besides: V8 ends a process that needs more. */
const HEAP = { NODE_OPTIONS: '--max-old-space-size=64' };
/** With the garbage that V8 leaves lying in such a heap, and without the lines. */
const MOST_MIB = 350;

function* lines(count: number): Generator<string> {
  for (let nr = 0; nr < count; nr++) {
    const content = `Document ${nr} says that grass is green. `.repeat(25);
    yield `${JSON.stringify({ type: 'text', title: `nr ${nr}`, content, ...(nr % EMBEDDED === 0 && { embedding: VECTOR }) })}${PADDING}\n`;
  }
}

const mostMebibytes = (pid: number) => Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;

describeServed('10,000 documents as NDJSON, served', () => {
  it('PF-5 are taken up after kill -9 under the same Batch-Id, nothing twice and nothing lost, in memory that stays flat', async () => {
    const place = await openServed();
    let api = await ApiProcess.start(place.settings);
    try {
      const ada = await newLearner(new HttpClient(api.url));
      const count = async () => {
        const [row] = await sql<{ count: number; titles: number; ready: number }>(
          databaseUrlOf(place.settings),
          `select count(*)::int as count, count(distinct title)::int as titles, count(*) filter (where status = 'ready')::int as ready
           from documents where user_id = $1`,
          [ada.id],
        );
        return row!;
      };
      const send = () =>
        fetch(`${api.url}/v1/documents/bulk`, {
          method: 'POST',
          headers: { authorization: `Bearer ${ada.token}`, 'content-type': 'application/x-ndjson', 'batch-id': 'ten-thousand' },
          body: Readable.toWeb(Readable.from(lines(DOCUMENTS))) as ReadableStream,
          duplex: 'half',
        } as RequestInit);

      const killed = send().then(
        ({ status }) => status,
        () => 'cut off',
      );
      await until(async () => (await count()).count > 1000, 60_000);
      await api.stop('SIGKILL');
      expect(await killed).toBe('cut off');
      const before = (await count()).count;
      expect(before).toBeLessThan(DOCUMENTS);

      api = await ApiProcess.start({ ...place.settings, ...HEAP });
      const answer = await send();
      expect([answer.status, await answer.json()]).toEqual([200, { accepted: DOCUMENTS, rejected: [], rejectedCount: 0 }]);
      expect(await count()).toMatchObject({ count: DOCUMENTS, titles: DOCUMENTS });
      expect((await count()).ready).toBeGreaterThanOrEqual(DOCUMENTS / EMBEDDED);
      const most = mostMebibytes(api.pid);
      process.stdout.write(`10,000 documents: ${most.toFixed(0)} MiB at most\n`);
      expect(most).toBeLessThan(MOST_MIB);
    } finally {
      await api.stop('SIGKILL');
      await place.close();
    }
  }, 300_000);
});
