import { randomOf } from '../../support/random';
import { Workspace } from '../../support/workspace';

/** What a file `<area>.torture.ts` exports. */
export interface Torture {
  /** What is tried, and what must never happen. */
  promise: string;
  /** How much is tried by `npm run torture -- <area>`. */
  ops: number;
  /** How much is tried in the test suite, within seconds. */
  shortOps: number;
  /** Tries `context.ops` times. @returns figures for the report */
  run(context: TortureContext): Promise<Record<string, number>>;
}

export interface TortureResult {
  area: string;
  attempted: number;
  violations: number;
  seed: number;
  figures: Record<string, number>;
}

const MOST_TOLD = 20;

/** What an attack runs in: a seeded source of chance, and the count of what was tried and of what should not have been. */
export class TortureContext extends Workspace {
  attempted = 0;
  violations = 0;
  /** The first of them, for whoever has to find the cause. */
  readonly told: string[] = [];

  constructor(
    readonly ops: number,
    readonly seed: number,
    readonly progress: (text: string) => void = () => undefined,
  ) {
    super();
    this.random = randomOf(seed);
  }

  /** One more thing was tried; `held` says whether the promise was kept. */
  attempt(held: boolean, what: () => string): void {
    this.attempted += 1;
    if (held) return;
    this.violations += 1;
    if (this.told.length < MOST_TOLD) this.told.push(what());
  }

  /** 0 ≤ x < 1: the same numbers for the same seed. */
  readonly random: () => number;

  /** A whole number, 0 ≤ n < end. */
  below(end: number): number {
    return Math.floor(this.random() * end);
  }

  pick<T>(choices: readonly T[]): T {
    if (choices.length === 0) throw new RangeError('There is nothing to pick from.');
    return choices[this.below(choices.length)]!;
  }
}
