import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { View, type Learner } from '@studently/platform';
import { EmbeddingsAway, EmbeddingsUnavailable } from '../domain/document.errors';
import { EmbeddingModels } from '../embeddings/embedding-models';
import { conditionOf, type DocumentFilter } from './search/document-filter';
import { FoundPassages, shownNearest, type FoundPassage } from './search/found-passages';
import { Highlights } from './search/highlights';
import { NearestPassages, type Nearest, type NearestSearch } from './search/nearest-passages';
import { fuse, rankedNearest, weightsFor, type RankedPassage } from './search/ranking';
import type { PassageScope } from './search/passage-scope';
import { RecallMonitor } from './search/recall-monitor';
import { nextCursor, shownBefore } from './search/search-cursor';
import { SUPPLIED_SPACE, VectorSpaces } from './search/vector-spaces';
import { WordedPassages, type Worded } from './search/worded-passages';

export const SEARCH_MODES = ['hybrid', 'vector', 'text'] as const;
export type SearchMode = (typeof SEARCH_MODES)[number];

/** What is looked for: a text, a vector, or both, of which the vector then stands for the meaning. */
export interface DocumentSearch {
  text?: string;
  vector?: number[];
  /** 1–100 */
  k: number;
  filter?: DocumentFilter;
  mode?: SearchMode;
  cursor?: string;
}

export interface SearchResult {
  items: FoundPassage[];
  /** Send it as `cursor` for those that come after; null where there are none, or 500 have been shown. */
  nextCursor: string | null;
  meta: {
    /** How it was looked for: by signs or exactly, and by words. */
    strategy: string;
    /** Why so, for a person. */
    why: string;
    estimatedMatches: number;
    tookMs: number;
  };
}

/** The learner's own passages that fit best: exactly min(k, matches) of them, best first. @throws FilterUnknown, EmbeddingsUnavailable */
export class SearchDocuments extends Query<View<SearchResult>> {
  constructor(
    readonly actor: Learner,
    readonly search: DocumentSearch,
  ) {
    super();
  }
}

/** Of each ranking so many are fused at least. */
const FUSED = 100;

/** A vector, and what it can be compared with. */
type Meaning = Pick<NearestSearch, 'vector' | 'spaces'>;
/** The model could not be asked what is meant. */
const AWAY = 'away';

interface Found {
  /** JSON of FoundPassages */
  items: string;
  nearest?: Nearest;
  worded?: Worded;
  matched: number;
}

@QueryHandler(SearchDocuments)
export class SearchDocumentsHandler implements IQueryHandler<SearchDocuments> {
  constructor(
    private readonly models: EmbeddingModels,
    private readonly spaces: VectorSpaces,
    private readonly nearest: NearestPassages,
    private readonly worded: WordedPassages,
    private readonly passages: FoundPassages,
    private readonly highlights: Highlights,
    private readonly recall: RecallMonitor,
  ) {}

  async execute({ actor, search }: SearchDocuments): Promise<View<SearchResult>> {
    const began = performance.now();
    const { text, k, filter = {}, mode = 'hybrid', cursor } = search;
    const before = shownBefore(cursor);
    const scope = { where: conditionOf(filter), except: before };
    // Before a connection is taken: the model may be busy.
    const meant = mode === 'text' ? undefined : await this.meaningOf(search);
    const isAway = meant === AWAY;
    const meaning = isAway ? undefined : meant;
    const found =
      mode === 'vector' || text === undefined
        ? await this.byMeaning(actor, meaning, k, scope)
        : await this.fused(actor, meaning, text, k, scope);
    const shown = (JSON.parse(found.items) as FoundPassage[]).map(({ passage }) => passage.id);
    const meta: SearchResult['meta'] = {
      ...explained(found, isAway),
      estimatedMatches: Math.max(found.matched, shown.length),
      tookMs: Math.round((performance.now() - began) * 10) / 10,
    };
    return new View(
      `{"items":${found.items},"nextCursor":${JSON.stringify(nextCursor(before, shown, k))},"meta":${JSON.stringify(meta)}}`,
    );
  }

  /**
   * What is meant; undefined where the text has nothing that the model knows. Where words can answer by themselves, they do
   * as long as the model is away. @throws EmbeddingsUnavailable, EmbeddingsAway
   */
  private async meaningOf({ text, vector, mode }: DocumentSearch): Promise<Meaning | typeof AWAY | undefined> {
    const serving = await this.spaces.serving();
    if (vector) return { vector, spaces: [SUPPLIED_SPACE, serving.space] };
    try {
      const embedded = await this.models.of(serving).embedQuestion(text!);
      return embedded && { vector: embedded, spaces: [serving.space] };
    } catch (error) {
      if (mode === 'vector' || !(error instanceof EmbeddingsAway || error instanceof EmbeddingsUnavailable)) throw error;
      return AWAY;
    }
  }

  private async byMeaning(actor: Learner, meaning: Meaning | undefined, k: number, scope: PassageScope): Promise<Found> {
    if (!meaning) return { items: '[]', matched: 0 };
    const nearest = await this.findNearest({ actor, ...meaning, k, scope, show: shownNearest });
    return { items: await this.passages.open(nearest.found), nearest, matched: nearest.matched };
  }

  private async fused(
    actor: Learner,
    meaning: Meaning | undefined,
    text: string,
    k: number,
    scope: PassageScope,
  ): Promise<Found> {
    const most = Math.max(FUSED, 2 * k);
    const [nearest, worded] = await Promise.all([
      meaning && this.findNearest({ actor, ...meaning, k: most, scope, show: rankedNearest }),
      this.worded.find({ actor, text, most, scope }),
    ]);
    const byMeaning = nearest ? (JSON.parse(nearest.found) as RankedPassage[]) : [];
    const best = fuse({ byMeaning, ...worded }, weightsFor(worded.words));
    const shown = await this.passages.show(actor, best.slice(0, most), k, meaning);
    const items = await this.highlighted(actor, text, shown);
    return { items, nearest, worded, matched: Math.max(best.length, nearest?.matched ?? 0, worded.matched) };
  }

  private async findNearest(search: NearestSearch): Promise<Nearest> {
    const nearest = await this.nearest.find(search);
    if (!nearest.isExact) this.recall.consider(search);
    return nearest;
  }

  private async highlighted(actor: Learner, text: string, json: string): Promise<string> {
    const items = JSON.parse(json) as FoundPassage[];
    const highlights = await this.highlights.find(
      actor,
      text,
      items.map(({ passage }) => passage.text),
    );
    return JSON.stringify(items.map((item, nr) => ({ ...item, passage: { ...item.passage, highlights: highlights[nr]! } })));
  }
}

/** How the answer came about, and why; "none" where the text has nothing that could be compared. */
function explained({ nearest, worded }: Found, isAway: boolean): Pick<SearchResult['meta'], 'strategy' | 'why'> {
  const strategies: string[] = [];
  const reasons: string[] = [];
  if (nearest) {
    strategies.push(nearest.isExact ? 'exact' : 'signs');
    reasons.push(
      nearest.isExact
        ? `each of ${nearest.compared} vectors was compared`
        : `of ${nearest.matched} vectors the signs were compared, of ${nearest.compared} that could be the nearest all`,
    );
  }
  if (isAway) reasons.push('the model cannot be asked now, so words alone answer');
  if (worded) {
    strategies.push('text');
    reasons.push(`${worded.matched} passages have a word of it, and ${worded.byTitle.length} documents a title like it`);
  }
  return { strategy: strategies.join('+') || 'none', why: reasons.join('; ') || 'the text has nothing that could be compared' };
}
