import { Injectable } from '@nestjs/common';
import { Database, ownerOf, type Learner } from '@studently/platform';
import { EmbeddingsAway, EmbeddingsUnavailable } from '../../domain/document.errors';
import { EmbeddingModels } from '../../embeddings/embedding-models';
import { conditionOf, type DocumentFilter } from '../search/document-filter';
import { FoundPassages, SAME, type FoundPassage } from '../search/found-passages';
import { dimensionsOf, NearestPassages } from '../search/nearest-passages';
import { fuse, rankedNearest, weightsFor, type Fused, type RankedPassage } from '../search/ranking';
import { VectorSpaces, type VectorSpace } from '../search/vector-spaces';
import { WordedPassages } from '../search/worded-passages';
import { ChatTurns } from './chat-turns';
import type { Candidates, Found } from './choose-context';

/** So many of each may be chosen. */
const PASSAGES = 100;
const TURNS = 50;

export interface ContextSearch {
  chatId: string;
  text: string;
  filter?: DocumentFilter;
  /** Turns that come into question, by seq. */
  among: readonly number[];
  /** Longer turns do not fit. */
  mostBytes: number;
}

export interface FoundForContext extends Pick<Candidates, 'found' | 'alike'> {
  /** How it was looked for. */
  strategy: string;
  why: string;
}

/** Which passages ($2) and turns ($3), by their vectors in this space ($4), differ in so few signs ($5). */
const ALIKE = `
  with given as (
    select v.passage_id as id, v.signs from passage_vectors v
    where v.user_id = $1 and v.passage_id = any($2::uuid[]) and v.space = $4
    union all
    select v.turn_id, binary_quantize(v.embedding)::bit(1536) from turn_vectors v
    where v.user_id = $1 and v.turn_id = any($3::uuid[]) and v.space = $4
  )
  select one.id, array_agg(other.id) as others
  from given one join given other on other.id <> one.id and other.signs <~> one.signs <= $5::float8
  group by one.id`;

interface Meaning {
  /** undefined: the text has nothing that the model knows, or the model is away. */
  vector?: number[];
  isAway: boolean;
}

/** What may matter for an answer: the learner's passages and the turns of one chat, both by meaning and by words. */
@Injectable()
export class ContextFinder {
  constructor(
    private readonly database: Database,
    private readonly models: EmbeddingModels,
    private readonly spaces: VectorSpaces,
    private readonly nearest: NearestPassages,
    private readonly worded: WordedPassages,
    private readonly passages: FoundPassages,
    private readonly turns: ChatTurns,
  ) {}

  /** @throws FilterUnknown */
  async find(actor: Learner, search: ContextSearch): Promise<FoundForContext> {
    const scope = { where: conditionOf(search.filter ?? {}), except: [] };
    const serving = await this.spaces.serving();
    const { vector, isAway } = await this.meaningOf(search.text, serving); // before a connection is taken: the model may be busy
    const most = { actor, scope, most: PASSAGES };
    const [nearest, worded, turns] = await Promise.all([
      vector && this.nearest.find({ ...most, k: PASSAGES, vector, spaces: [serving.space], show: rankedNearest }),
      this.worded.find({ ...most, text: search.text }),
      this.turns.rank(actor, { ...search, vector, space: serving.space, most: TURNS }),
    ]);
    const weights = weightsFor(worded.words);
    const byMeaning = nearest ? (JSON.parse(nearest.found) as RankedPassage[]) : [];
    const passages = fuse({ byMeaning, ...worded }, weights).slice(0, PASSAGES);
    const earlier = fuse(turns, weights).slice(0, TURNS);
    const found = await this.shown(actor, search, passages, earlier);
    return {
      found,
      alike: vector ? await this.alike(actor, serving, dimensionsOf(vector), [passages, earlier]) : new Map(),
      strategy: [nearest && (nearest.isExact ? 'exact' : 'signs'), 'text'].filter(Boolean).join('+'),
      why: `${passages.length} passages and ${earlier.length} turns came into question${isAway ? '; the model does not answer now, so words alone speak' : ''}`,
    };
  }

  private async meaningOf(text: string, serving: VectorSpace): Promise<Meaning> {
    try {
      return { vector: await this.models.of(serving).embedQuestion(text), isAway: false };
    } catch (error) {
      if (error instanceof EmbeddingsAway || error instanceof EmbeddingsUnavailable) return { isAway: true };
      throw error;
    }
  }

  private async shown(actor: Learner, search: ContextSearch, passages: Fused[], earlier: Fused[]): Promise<Found[]> {
    const json = await this.passages.show(actor, passages, { k: PASSAGES });
    const scores = new Map(earlier.map(({ passageId, score }) => [passageId, score]));
    const turns = await this.turns.readThese(actor, search.chatId, [...scores.keys()], search.mostBytes);
    return [
      ...(JSON.parse(json) as FoundPassage[]).map((passage) => ({ kind: 'passage' as const, ...passage })),
      ...turns.map((message) => ({ kind: 'turn' as const, message, score: scores.get(message.id)! })),
    ].sort((one, other) => other.score - one.score); // those of a kind are in a stable order already, and passages come first
  }

  private async alike(
    actor: Learner,
    { space }: VectorSpace,
    dimensions: number,
    [passages, earlier]: [Fused[], Fused[]],
  ): Promise<Candidates['alike']> {
    const ids = (fused: Fused[]) => fused.map(({ passageId }) => passageId);
    const rows = await this.database.query<{ id: string; others: string[] }>(actor, ALIKE, [
      ...[ownerOf(actor), ids(passages), ids(earlier), space, SAME * dimensions],
    ]);
    return new Map(rows.map(({ id, others }) => [id, new Set(others)]));
  }
}
