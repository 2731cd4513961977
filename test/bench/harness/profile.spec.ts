import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { framesOf, sharesOf, type CpuProfile } from './profile';

const call = (functionName: string, url = '') => ({ functionName, url, lineNumber: 1 });

/** 1 ms in all, of which 200 µs nothing was done. */
const profile: CpuProfile = {
  nodes: [
    { id: 1, callFrame: call('(root)'), children: [2, 5, 6] },
    { id: 2, callFrame: call('serve', 'file:///app/dist/api.js'), children: [3, 4] },
    { id: 3, callFrame: call('parse', 'file:///app/node_modules/@nestjs/core/index.js') },
    { id: 4, callFrame: call('writev') },
    { id: 5, callFrame: call('(idle)') },
    { id: 6, callFrame: call('(garbage collector)') },
  ],
  samples: [2, 3, 4, 3, 5, 6],
  timeDeltas: [100, 250, 200, 150, 200, 100],
};

describe('A CPU profile', () => {
  it('is a tree of calls, in which nobody has waited', () => {
    const root = framesOf(profile);
    expect(root.total).toBe(800);
    const [serve, garbage] = [...root.called.values()];
    expect(serve).toMatchObject({ name: 'serve', part: 'platform', total: 700, own: 100 });
    expect([...serve!.called.values()]).toMatchObject([
      { name: 'parse', part: '@nestjs/core', total: 400, own: 400 },
      { name: 'writev', part: 'writes to sockets', total: 200, own: 200 },
    ]);
    expect(garbage).toMatchObject({ part: 'garbage collector', own: 100 });
  });

  it('is shared among the parts, by what each did itself', () => {
    expect(sharesOf(framesOf(profile))).toEqual([
      ['@nestjs/core', 0.5],
      ['writes to sockets', 0.25],
      ['platform', 0.125],
      ['garbage collector', 0.125],
    ]);
  });

  it('names the packages in a program that is one file', () => {
    const folder = mkdtempSync(join(tmpdir(), 'studently-profile-'));
    const program = join(folder, 'dist/api.bundle.js');
    mkdirSync(join(folder, 'dist'));
    writeFileSync(program, '// node_modules/@nestjs/core/index.js\nfirst();\n  // dist/libs/platform/src/json.js\nsecond();\n');
    const { href } = pathToFileURL(program);
    const nodes = [0, 1, 3].map((lineNumber, id) => ({
      id,
      callFrame: { functionName: '', url: href, lineNumber },
      children: id === 0 ? [1, 2] : [],
    }));
    const root = framesOf({ nodes, samples: [1, 2], timeDeltas: [100, 100] });
    expect([...root.called.values()].map(({ part }) => part)).toEqual(['@nestjs/core', 'platform']);
    rmSync(folder, { recursive: true });
  });
});
