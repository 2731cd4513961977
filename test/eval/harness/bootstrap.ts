import { randomOf } from '../../support/random';
import { mean } from './metrics';

export type Interval = [from: number, to: number];

const RESAMPLES = 10_000;
const SEED = 1;

/**
 * The 95 % interval of a mean over questions: had others of their kind been asked, it would have been in there. From 10,000
 * samples with replacement, always the same ones (percentiles; Efron 1979). Of paired differences it tells whether one method
 * is better than another (Sakai, Evaluating evaluation metrics based on the bootstrap, SIGIR 2006).
 */
export function bootstrap(values: readonly number[]): Interval {
  const random = randomOf(SEED);
  const means = Float64Array.from({ length: RESAMPLES }, () => {
    let total = 0;
    for (let drawn = 0; drawn < values.length; drawn++) total += values[Math.floor(random() * values.length)]!;
    return total / values.length;
  }).sort();
  return [means[Math.floor(0.025 * RESAMPLES)]!, means[Math.ceil(0.975 * RESAMPLES) - 1]!];
}

/** How much better one method is than another on the same questions. */
export interface Difference {
  mean: number;
  ci95: Interval;
}

export function differenceOf(one: readonly number[], other: readonly number[]): Difference {
  const differences = one.map((value, index) => value - other[index]!);
  return { mean: mean(differences), ci95: bootstrap(differences) };
}

/** Worse or better beyond what chance may do; neither: nobody can tell on so many questions. */
export const isBelow = ({ ci95: [, to] }: Difference) => to < 0;
export const isAbove = ({ ci95: [from] }: Difference) => from > 0;
