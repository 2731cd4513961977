import { bootstrap, differenceOf, isAbove, isBelow, type Difference, type Interval } from './bootstrap';
import { halvesOf } from './halves';
import { mean, scoresOf, type Metric } from './metrics';
import { documentsOf, METHODS, type Asked, type Method, type Rankings } from './rankings';

/** What `--json` prints. */
export interface Line {
  set: string;
  method: Method;
  hitAt10: number;
  mrr: number;
  ndcgAt10: number;
  /** Of nDCG@10. */
  ci95: Interval;
  queries: number;
}

type Part = 'text' | 'vector';

export interface Judged {
  set: string;
  documents: number;
  passages: number;
  lines: Line[];
  /** The part that is the better one by itself. */
  better: Part;
  /** nDCG@10 of hybrid less that of the part, question by question. */
  hybridOver: Record<Part, Difference>;
}

/** By the half that nothing was tuned on. */
export const judgeReported = (rankings: Rankings) => judge({ ...rankings, asked: halvesOf(rankings.asked).reported });

export function judge({ set, documents, passages, asked: questions }: Rankings): Judged {
  const lines = METHODS.map((method) => lineOf(set, method, questions));
  const ndcg = (method: Method) => valuesOf('ndcg', method, questions);
  const [text, vector] = lines as [Line, Line];
  return {
    set,
    documents,
    passages,
    lines,
    better: text.ndcgAt10 >= vector.ndcgAt10 ? 'text' : 'vector',
    hybridOver: {
      text: differenceOf(ndcg('hybrid'), ndcg('text')),
      vector: differenceOf(ndcg('hybrid'), ndcg('vector')),
    },
  };
}

/**
 * What was promised and is not so; empty: all of it holds.
 * @param onSomeSet whether hybrid has to be above its parts on one of these sets
 */
export function broken(all: readonly Judged[], { onSomeSet } = { onSomeSet: true }): string[] {
  const below = all
    .filter(({ better, hybridOver }) => isBelow(hybridOver[better]))
    .map(({ set, better }) => `On ${set}, hybrid is below ${better} beyond chance.`);
  const isFine = !onSomeSet || all.some(({ better, hybridOver }) => isAbove(hybridOver[better]));
  return isFine ? below : [...below, 'On no set is hybrid above the better of its parts beyond chance.'];
}

function lineOf(set: string, method: Method, questions: readonly Asked[]): Line {
  const of = (metric: Metric) => valuesOf(metric, method, questions);
  return {
    set,
    method,
    hitAt10: mean(of('hit')),
    mrr: mean(of('reciprocalRank')),
    ndcgAt10: mean(of('ndcg')),
    ci95: bootstrap(of('ndcg')),
    queries: questions.length,
  };
}

const valuesOf = (metric: Metric, method: Method, questions: readonly Asked[]) =>
  questions.map(({ found, relevant }) => scoresOf(documentsOf(found[method]), relevant)[metric]);
