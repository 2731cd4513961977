/** How a piece of maintenance goes about its steps. */
export interface Course {
  /** Only say what would be done. */
  dryRun?: boolean;
  /** Is told of each step before it begins, out of how many there are. */
  tell?: (step: string, nr: number, of: number) => void;
  /** Whether no further step may begin. */
  isOver?: () => boolean;
}

/** Takes the steps one after another, each timed, until all are done or the time is over. */
export async function inSteps<Step, Result>(
  steps: readonly Step[],
  nameOf: (step: Step) => string,
  { tell, isOver }: Course,
  take: (step: Step) => Promise<Result>,
): Promise<(Result & { milliseconds: number })[]> {
  const results = [];
  for (const [index, step] of steps.entries()) {
    if (isOver?.()) break;
    tell?.(nameOf(step), index, steps.length);
    const begin = performance.now();
    const result = await take(step);
    results.push({ ...result, milliseconds: Math.round(performance.now() - begin) });
  }
  return results;
}
