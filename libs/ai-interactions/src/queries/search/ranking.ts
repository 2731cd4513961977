/** A passage's place in a ranking. What ties has the same rank. */
export interface RankedPassage {
  passageId: string;
  documentId: string;
  /** What it is ranked by; higher is better. */
  score: number;
  /** From 1 */
  rank: number;
}

/** A passage of a published document, with whose it is. */
export interface SharedRanked extends RankedPassage {
  publishedBy: string;
}

export interface Rankings {
  byMeaning: RankedPassage[];
  byWords: RankedPassage[];
  byTitle: RankedPassage[];
}

export type Weights = Record<keyof Rankings, number>;

/** `score` is the sum of reciprocal ranks. */
export type Fused = Omit<RankedPassage, 'rank'>;

/** The ranking of both together, where both are ranked by the same measure. */
export function merged(one: readonly RankedPassage[], other: readonly RankedPassage[]): RankedPassage[] {
  const all = [...one, ...other].sort((a, b) => b.score - a.score);
  let rank = 1;
  return all.map((passage, at) => {
    if (at > 0 && passage.score < all[at - 1]!.score) rank = at + 1;
    return { ...passage, rank };
  });
}

/** How little more a first place is worth than a second. The paper has 60; on the halves for tuning it makes no difference (docs/evaluation). */
export const K = 20;

/**
 * Fuses rankings: the score is the sum of weight / (20 + rank) (Cormack, Clarke and Büttcher, Reciprocal Rank Fusion outperforms
 * Condorcet and individual Rank Learning Methods, SIGIR 2009). A title speaks for the passage of its document that is best otherwise.
 * @returns best first; what ties is in the order of ids
 */
export function fuse({ byTitle, ...rankings }: Rankings, weights: Weights): Fused[] {
  const fused = new Map<string, Fused>();
  const best = new Map<string, Fused>();
  const add = ({ passageId, documentId, rank }: RankedPassage, weight: number) => {
    const score = (fused.get(passageId)?.score ?? 0) + weight / (K + rank);
    fused.set(passageId, { passageId, documentId, score });
  };
  for (const passage of rankings.byMeaning) add(passage, weights.byMeaning);
  for (const passage of rankings.byWords) add(passage, weights.byWords);
  for (const passage of fused.values()) {
    if (passage.score > (best.get(passage.documentId)?.score ?? 0)) best.set(passage.documentId, passage);
  }
  for (const titled of weights.byTitle > 0 ? byTitle : [])
    add({ ...titled, ...best.get(titled.documentId), rank: titled.rank }, weights.byTitle);
  return [...fused.values()].sort((one, other) => other.score - one.score || (idOf(one) < idOf(other) ? -1 : 1));
}

const idOf = ({ documentId, passageId }: Fused) => `${documentId} ${passageId}`;

/**
 * How much each ranking counts, by how many words the text has that count, on the halves for tuning (docs/evaluation): the local model knows little
 * of names, which are short; a title is in too many longer texts.
 */
export function weightsFor(words: number): Weights {
  const isShort = words <= 2;
  return { byMeaning: isShort ? 0.1 : 0.33, byWords: 1, byTitle: isShort ? 0.25 : 0 };
}

/** SQL that shows `nearest` as a ranking, JSON. */
export const rankedNearest = (): string => `
  select json_agg(json_build_object('passageId', passage_id, 'documentId', document_id, 'score', 1 - distance, 'rank', rank)
    order by rank, document_id, passage_id)::text
  from (select *, rank() over (order by distance) as rank from nearest) ranked`;
