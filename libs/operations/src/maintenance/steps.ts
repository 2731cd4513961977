/** How a piece of maintenance goes about its steps. */
export interface Course {
  /** Only say what would be done. */
  dryRun?: boolean;
  /** Is told of each step before it begins, out of how many there are. */
  tell?: (step: string, nr: number, of: number) => unknown;
  /** Whether no further step may begin. */
  isOver?: () => boolean;
  /** Is told of each step that has not had its time, or not its lock. Without it, one that the server has ended is an error. */
  left?: (step: string) => void;
}

/** query_canceled, lock_not_available */
const OUT_OF_TIME = ['57014', '55P03'];

/** Takes the steps one after another, each timed, until all are done or the time is over. */
export async function inSteps<Step, Result>(
  steps: readonly Step[],
  nameOf: (step: Step) => string,
  { tell, isOver, left }: Course,
  take: (step: Step) => Promise<Result>,
): Promise<(Result & { milliseconds: number })[]> {
  const results = [];
  for (const [index, step] of steps.entries()) {
    const name = nameOf(step);
    if (isOver?.()) {
      left?.(name);
      continue;
    }
    await tell?.(name, index, steps.length);
    const begin = performance.now();
    try {
      const result = await take(step);
      results.push({ ...result, milliseconds: Math.round(performance.now() - begin) });
    } catch (error) {
      if (!left || !OUT_OF_TIME.includes((error as { code?: string }).code ?? '')) throw error;
      left(name);
    }
  }
  return results;
}
