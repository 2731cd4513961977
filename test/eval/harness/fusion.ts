import { K, weightsFor } from '../../../libs/ai-interactions/src/queries/search/ranking';
import { differenceOf, type Difference } from './bootstrap';
import { halvesOf } from './halves';
import { mean, scoresOf } from './metrics';
import { documentsOf, type Asked, type Found, type Rankings } from './rankings';

/** What is added to a place, in the search itself. */
export const CONSTANT_NOW = K;
/** A smaller one lets the first places of a ranking count more. */
const CONSTANTS = [10, 20, 60];

/** Of a question, by the words of it that count: in their stems, without those that are in every text. */
export const LENGTHS = ['short', 'medium', 'long'] as const;
export type Length = (typeof LENGTHS)[number];
export const WORDS_OF_LENGTH: Record<Length, string> = {
  short: 'up to 2 words',
  medium: '3–6 words',
  long: '7 words and more',
};

export const lengthOf = ({ words }: Pick<Asked, 'words'>): Length => (words <= 2 ? 'short' : words <= 6 ? 'medium' : 'long');

/** What the search gives words, of words and meaning together. */
export function shareNow(length: Length): number {
  const { byWords, byMeaning } = weightsFor({ short: 2, medium: 6, long: 7 }[length]);
  return byWords / (byWords + byMeaning);
}

/** From meaning alone (0) to words alone (1). */
export const SHARES = Array.from({ length: 21 }, (_, step) => step / 20);

/** What is best on the tuning halves. */
export interface Tuning {
  constant: number;
  /** nDCG@10 with the best shares for each constant: the mean over the lengths. */
  constants: { constant: number; ndcg: number }[];
  lengths: Tuned[];
}

export interface Tuned {
  length: Length;
  /** Of the tuning half. */
  questions: number;
  /** nDCG@10 for each of SHARES: the mean over the sets, each counting as much as another. */
  curve: number[];
  /** Where it is highest; the middle, where several are. */
  share: number;
  text: number;
  vector: number;
  best: number;
  now: number;
}

/**
 * Reciprocal rank fusion of the two rankings, as far as they go: a passage scores share / (constant + its place by words) +
 * (1 − share) / (constant + its place by meaning). (Cormack, Clarke and Büttcher, SIGIR 2009.)
 */
export function fused({ text, vector }: Record<'text' | 'vector', Found[]>, share: number, constant = CONSTANT_NOW): Found[] {
  const scores = new Map<string, { found: Found; score: number }>();
  const add = (ranking: Found[], weight: number) =>
    ranking.forEach((found, index) => {
      const score = (scores.get(found.passage)?.score ?? 0) + weight / (constant + index + 1);
      if (weight > 0) scores.set(found.passage, { found, score });
    });
  add(text, share);
  add(vector, 1 - share);
  return [...scores.values()].sort((a, b) => b.score - a.score).map(({ found }) => found);
}

export const ndcgOf = (found: readonly Found[], { relevant }: Asked) => scoresOf(documentsOf(found), relevant).ndcg;

/** The best constant, and with it the best share of words for each length of question. */
export function tune(sets: readonly Rankings[]): Tuning {
  const tried = CONSTANTS.map((constant) => {
    const lengths = tunedWith(sets, constant);
    return { constant, lengths, ndcg: mean(lengths.map(({ best }) => best)) };
  });
  const { constant, lengths } = tried.reduce((best, one) => (one.ndcg > best.ndcg ? one : best));
  return { constant, constants: tried.map(({ constant: one, ndcg }) => ({ constant: one, ndcg })), lengths };
}

/** Lengths that nobody asked are left out. */
function tunedWith(sets: readonly Rankings[], constant: number): Tuned[] {
  return LENGTHS.flatMap((length) => {
    const bySet = sets
      .map(({ asked }) => halvesOf(asked).tuning.filter((one) => lengthOf(one) === length))
      .filter((asked) => asked.length > 0);
    if (bySet.length === 0) return [];
    const at = (share: number, k = constant) =>
      mean(bySet.map((asked) => mean(asked.map((one) => ndcgOf(fused(one.found, share, k), one)))));
    const curve = SHARES.map((share) => at(share));
    const best = Math.max(...curve);
    const share = mean(SHARES.filter((_, index) => curve[index] === best));
    const questions = bySet.flat().length;
    const now = at(shareNow(length), CONSTANT_NOW);
    return [{ length, questions, curve, share, text: curve.at(-1)!, vector: curve[0]!, best, now }];
  });
}

/** nDCG@10 of both parts fused outside of the platform, on a half that nothing was tuned on. */
export interface FusedOffline {
  set: string;
  /** With the weights of the search. */
  now: number;
  /** With those that were found. */
  tuned: number;
  difference: Difference;
}

export function fusedOffline(sets: readonly Rankings[], { constant, lengths }: Tuning): FusedOffline[] {
  const found = Object.fromEntries(lengths.map(({ length, share }) => [length, share]));
  return sets.map(({ set, asked }) => {
    const { reported } = halvesOf(asked);
    const by = (shareOf: (length: Length) => number, k?: number) =>
      reported.map((one) => ndcgOf(fused(one.found, shareOf(lengthOf(one)), k), one));
    const now = by(shareNow);
    const then = by((length) => found[length] ?? shareNow(length), constant);
    return { set, now: mean(now), tuned: mean(then), difference: differenceOf(then, now) };
  });
}
