import { setImmediate } from 'node:timers';
import { readNdjson } from './ndjson';

describe('Lines of JSON', () => {
  it('lets others have their turn between empty lines, too', async () => {
    async function* empty() {
      for (let piece = 0; piece < 4; piece++) yield Buffer.alloc(65_536, '\n');
      yield Buffer.from('{"a":1}');
    }
    let turns = 0;
    let isOver = false;
    const turn = () => {
      turns++;
      if (!isOver) setImmediate(turn);
    };
    setImmediate(turn);
    const lines = [];
    for await (const line of readNdjson(empty(), (json) => json)) lines.push(line);
    isOver = true;
    expect(lines).toEqual([{ line: 4 * 65_536 + 1, bytes: 7, value: { a: 1 } }]);
    expect(turns).toBeGreaterThan(200);
  });
});
