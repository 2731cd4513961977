/** How good a ranking is, judged by its first ten documents. */
export interface Scores {
  /** 1 where one of them is right. */
  hit: number;
  /** 1 / the place of the first that is right; 0 where none is. */
  reciprocalRank: number;
  /** Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, ACM TOIS 20(4), 2002; a document is right or not. */
  ndcg: number;
}

export type Metric = keyof Scores;

export const DEPTH = 10;

/** @param ranked ids of documents, best first, each once */
export function scoresOf(ranked: readonly string[], relevant: readonly string[]): Scores {
  const right = new Set(relevant);
  const places = ranked.slice(0, DEPTH).flatMap((id, index) => (right.has(id) ? [index + 1] : []));
  const ideal = Array.from({ length: Math.min(DEPTH, right.size) }, (_, index) => index + 1);
  return {
    hit: Math.min(1, places.length),
    reciprocalRank: places.length > 0 ? 1 / places[0]! : 0,
    ndcg: gainOf(places) / gainOf(ideal),
  };
}

/** Right documents count the less, the later they come. */
const gainOf = (places: readonly number[]) => sum(places.map((place) => 1 / Math.log2(place + 1)));

export const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
export const mean = (values: readonly number[]) => sum(values) / values.length;
