import type { PoolClient } from 'pg';
import { StatementWatch } from './statement-watch';

const connection = (milliseconds: number) =>
  ({ query: () => new Promise((resolve) => setTimeout(resolve, milliseconds)), on: () => undefined }) as unknown as PoolClient;

describe('slow statements', () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  it.each([
    ['one that waits behind another connection is not slow where the server answers one at a time', true, ['commit']],
    ['each connection has a server process of its own', false, ['commit', 'begin']],
  ])('%s', async (_, isEmbedded, slow) => {
    const watch = new StatementWatch(250, isEmbedded);
    const found: string[] = [];
    watch.listener = ({ sql }) => found.push(sql);
    const [writing, waiting] = [connection(300), connection(310)];
    watch.watch(writing);
    watch.watch(waiting);
    const answers = Promise.all([writing.query('commit'), waiting.query('begin')]);
    await jest.advanceTimersByTimeAsync(310);
    await answers;
    expect(found).toEqual(slow);
  });
});
