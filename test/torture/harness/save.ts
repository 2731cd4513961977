import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TortureResult } from './torture';

type Saved = TortureResult & { promise: string; seconds: number; at: string };

const FOLDER = join(__dirname, '../../../docs/reliability');

/** Keeps the area's last result, and makes the table of all of them anew. */
export async function save(result: Saved): Promise<void> {
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(join(FOLDER, `${result.area}.json`), `${JSON.stringify(result, null, 2)}\n`);
  const files = readdirSync(FOLDER).filter((file) => file.endsWith('.json'));
  const results = files.sort().map((file) => JSON.parse(readFileSync(join(FOLDER, file), 'utf8')) as Saved);
  const rows = results.map(({ area, promise, attempted, violations, seconds, seed, at, figures }) => {
    const told = Object.entries(figures).map(([name, value]) => `${name} ${Number(value.toFixed(3))}`);
    const cells = [
      area,
      promise,
      attempted.toLocaleString('en'),
      violations,
      told.join(', '),
      `${seconds} s`,
      seed,
      at.slice(0, 10),
    ];
    return `| ${cells.join(' | ')} |`;
  });
  const head = ['area', 'promise', 'tried', 'broken', 'figures', 'took', 'seed', 'on'];
  writeFileSync(
    join(FOLDER, 'README.md'),
    [
      '# What has been tried to break it',
      '',
      'The last full run of each area, by `npm run torture -- <area> --save`. A short version of each is part of `npm test`.',
      '',
      `| ${head.join(' | ')} |`,
      `|${head.map(() => '---').join('|')}|`,
      ...rows,
      '',
    ].join('\n'),
  );
}
