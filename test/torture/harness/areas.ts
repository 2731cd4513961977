import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { TortureContext, type Torture, type TortureResult } from './torture';

const FOLDER = join(__dirname, '..');
const SUFFIX = '.torture.ts';

export const AREAS = readdirSync(FOLDER)
  .filter((file) => file.endsWith(SUFFIX))
  .map((file) => file.replace(SUFFIX, ''))
  .sort();

export async function loadArea(area: string): Promise<Torture> {
  return (await import(join(FOLDER, area + SUFFIX))) as Torture;
}

/** Runs an area in a context and takes everything down. */
export async function attack(area: string, torture: Torture, context: TortureContext): Promise<TortureResult> {
  try {
    const figures = await torture.run(context);
    if (context.attempted === 0) throw new Error(`${area} has tried nothing`);
    const { attempted, violations, seed } = context;
    return { area, attempted, violations, seed, figures };
  } finally {
    await context.close();
  }
}
