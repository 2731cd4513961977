import { createHash } from 'node:crypto';

export interface Halves<T> {
  /** What weights are tuned on. */
  tuning: T[];
  /** What is reported: nothing has been chosen by it. */
  reported: T[];
}

/** Which half a question is in depends on its text alone. */
export function halvesOf<T extends { text: string }>(questions: readonly T[]): Halves<T> {
  const isReported = ({ text }: T) => createHash('sha256').update(text).digest()[0]! % 2 === 1;
  return { tuning: questions.filter((question) => !isReported(question)), reported: questions.filter(isReported) };
}
