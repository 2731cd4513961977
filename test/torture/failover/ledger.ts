/** A message that somebody has sent. What it says is said once. */
export interface Asked {
  content: string;
  /** What was acknowledged; undefined: nothing was, and it may be there or not. */
  answer?: { id: string; seq: number };
}

/** A message as it is read afterwards. */
export interface Kept {
  content: string;
  id: string;
  seq: number;
}

/** What is wrong with what was kept of one chat, in words. */
export function faultsOf(asked: readonly Asked[], kept: readonly Kept[]): string[] {
  const found = Map.groupBy(kept, ({ content }) => content);
  const faults = asked.flatMap(({ content, answer }) => {
    const [first, ...more] = found.get(content) ?? [];
    if (more.length > 0) return [`${content} is there ${1 + more.length} times`];
    if (!answer) return [];
    if (!first) return [`${content} was acknowledged, and is lost`];
    if (first.id === answer.id && first.seq === answer.seq) return [];
    return [`${content} is ${first.seq} ${first.id}, and was acknowledged as ${answer.seq} ${answer.id}`];
  });
  const known = new Set(asked.map(({ content }) => content));
  const strange = kept.filter(({ content }) => !known.has(content)).map(({ content }) => `nobody has said ${content}`);
  const gap = kept.find(({ seq }, index) => seq !== index + 1);
  return [...faults, ...strange, ...(gap ? [`${gap.seq} comes after ${kept.indexOf(gap)} messages`] : [])];
}

/** A request and its end. Times in ms, of one clock. */
export interface Request {
  sent: number;
  answered: number;
  isWrite: boolean;
  /** It was done, and its client told so. */
  isDone: boolean;
}

/** @returns for how many ms after `at` no write was acknowledged, at the longest; Infinity: none was any more */
export function outageOf(requests: readonly Request[], at: number): number {
  const times = requests
    .filter(({ isWrite, isDone, answered }) => isWrite && isDone && answered > at)
    .map(({ answered }) => answered);
  if (times.length === 0) return Infinity;
  const moments = [at, ...times.sort((one, other) => one - other)];
  return Math.max(...times.map((time, index) => time - moments[index]!));
}

/** Those that failed although all had to be well: sent before something happened at `at`, and over, or later than the bound after it. */
export function failedInPeace<Of extends Request>(requests: readonly Of[], at: number, boundMs: number): Of[] {
  return requests.filter(({ sent, answered, isDone }) => !isDone && (answered < at || sent > at + boundMs));
}
