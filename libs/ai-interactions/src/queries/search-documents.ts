import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { View, type Learner } from '@studently/platform';
import { EmbeddingsAway, EmbeddingsUnavailable } from '../domain/document.errors';
import { EmbeddingModels } from '../embeddings/embedding-models';
import { conditionOf, type DocumentFilter } from './search/document-filter';
import { FoundPassages, shownNearest, type FoundPassage } from './search/found-passages';
import { Highlights } from './search/highlights';
import { NearestPassages, type Nearest, type NearestSearch } from './search/nearest-passages';
import { fuse, merged, rankedNearest, weightsFor, type RankedPassage, type SharedRanked } from './search/ranking';
import type { PassageScope } from './search/passage-scope';
import { RecallMonitor } from './search/recall-monitor';
import { nextCursor, shownBefore } from './search/search-cursor';
import { SharedFoundPassages } from './search/shared-found';
import { rankedShared, SharedNearestPassages, shownShared, type SharedNearest } from './search/shared-nearest';
import { SharedWordedPassages } from './search/shared-words';
import type { SharedScope } from './search/shared-scope';
import { SUPPLIED_SPACE, VectorSpaces } from './search/vector-spaces';
import { WordedPassages, type Worded } from './search/worded-passages';

export const SEARCH_MODES = ['hybrid', 'vector', 'text'] as const;
export type SearchMode = (typeof SEARCH_MODES)[number];

export const SEARCH_SCOPES = ['own', 'shared', 'all'] as const;
/** Whose passages: the learner's own, what everybody has published, or both. */
export type SearchScope = (typeof SEARCH_SCOPES)[number];

/** What is looked for: a text, a vector, or both, of which the vector then stands for the meaning. */
export interface DocumentSearch {
  text?: string;
  vector?: number[];
  /** 1–100 */
  k: number;
  filter?: DocumentFilter;
  mode?: SearchMode;
  scope?: SearchScope;
  cursor?: string;
}

export interface SearchResult {
  items: FoundPassage[];
  /** Send it as `cursor` for those that come after; null where there are none, or 500 have been shown. */
  nextCursor: string | null;
  meta: {
    /** How it was looked for: by signs or exactly, what is shared by its index or exactly, and by words. */
    strategy: string;
    /** Why so, for a person. */
    why: string;
    estimatedMatches: number;
    tookMs: number;
  };
}

/** The passages of a scope that fit best: exactly min(k, matches) of them, best first. @throws FilterUnknown, EmbeddingsUnavailable */
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

/** What every part of a search is told. */
interface Asked {
  actor: Learner;
  /** undefined: words alone are looked for, or the text has nothing that the model knows */
  meaning?: Meaning;
  k: number;
  /** Which of the learner's own passages; undefined: none */
  own?: PassageScope;
  /** Which of the published ones; undefined: none */
  shared?: SharedScope;
}

interface Found {
  /** JSON of FoundPassages */
  items: string;
  nearest?: Nearest;
  shared?: SharedNearest;
  /** Of the learner's own passages and of the published ones. */
  worded?: Worded[];
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
    private readonly sharedNearest: SharedNearestPassages,
    private readonly sharedWorded: SharedWordedPassages,
    private readonly sharedPassages: SharedFoundPassages,
    private readonly highlights: Highlights,
    private readonly recall: RecallMonitor,
  ) {}

  async execute({ actor, search }: SearchDocuments): Promise<View<SearchResult>> {
    const began = performance.now();
    const { text, k, filter = {}, mode = 'hybrid', scope = 'own', cursor } = search;
    const before = shownBefore(cursor);
    const passages = { where: conditionOf(filter), except: before };
    // Before a connection is taken: the model may be busy.
    const meant = mode === 'text' ? undefined : await this.meaningOf(search);
    const isAway = meant === AWAY;
    const asked: Asked = {
      ...{ actor, meaning: isAway ? undefined : meant, k },
      own: scope === 'shared' ? undefined : passages,
      shared: scope === 'own' ? undefined : { ...passages, others: scope === 'all' },
    };
    const found = mode === 'vector' || text === undefined ? await this.byMeaning(asked) : await this.fused(asked, text);
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

  private async byMeaning({ actor, meaning, k, own, shared: published }: Asked): Promise<Found> {
    if (!meaning) return { items: '[]', matched: 0 };
    const [nearest, shared] = await Promise.all([
      own && this.findNearest({ actor, ...meaning, k, scope: own, show: shownNearest }),
      published && this.sharedNearest.find({ actor, ...meaning, k, scope: published, show: shownShared }),
    ]);
    const items = await this.passages.open(nearest?.found ?? '[]');
    return {
      items: shared ? bestOf(items, await this.passages.open(shared.found), k) : items,
      ...{ nearest, shared, matched: (nearest?.matched ?? 0) + (shared?.matched ?? 0) },
    };
  }

  private async fused({ actor, meaning, k, own, shared: published }: Asked, text: string): Promise<Found> {
    const most = Math.max(FUSED, 2 * k);
    const [nearest, worded, shared, sharedWorded] = await Promise.all([
      meaning && own && this.findNearest({ actor, ...meaning, k: most, scope: own, show: rankedNearest }),
      own && this.worded.find({ actor, text, most, scope: own }),
      meaning && published && this.sharedNearest.find({ actor, ...meaning, k: most, scope: published, show: rankedShared }),
      published && this.sharedWorded.find({ actor, text, most, scope: published }),
    ]);
    const byMeaning = nearest ? (JSON.parse(nearest.found) as RankedPassage[]) : [];
    const sharedByMeaning = shared ? (JSON.parse(shared.found) as SharedRanked[]) : [];
    const rankings = {
      byMeaning: merged(byMeaning, sharedByMeaning),
      byWords: merged(worded?.byWords ?? [], sharedWorded?.byWords ?? []),
      byTitle: merged(worded?.byTitle ?? [], sharedWorded?.byTitle ?? []),
    };
    const best = fuse(rankings, weightsFor((worded ?? sharedWorded)!.words));
    const fused = best.slice(0, most);
    const publishers = [...sharedByMeaning, ...(sharedWorded?.byWords ?? []), ...(sharedWorded?.byTitle ?? [])];
    const showing = { k, meaning, before: (own ?? published!).except };
    const shown = published
      ? await this.sharedPassages.show(actor, fused, publishersOf(publishers), showing)
      : await this.passages.show(actor, fused, showing);
    const items = await this.highlighted(actor, text, shown);
    const byWords = [worded, sharedWorded].filter((each) => each !== undefined);
    const matched = [nearest, shared, ...byWords].map((each) => each?.matched ?? 0);
    return { items, nearest, shared, worded: byWords, matched: Math.max(best.length, ...matched) };
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

const publishersOf = (shared: readonly SharedRanked[]) =>
  new Map(shared.map(({ passageId, publishedBy }) => [passageId, publishedBy]));

/** JSON of the best k of both, which are JSON, best first. */
function bestOf(own: string, shared: string, k: number): string {
  const items = [own, shared].flatMap((json) => JSON.parse(json) as FoundPassage[]);
  return JSON.stringify(items.sort((one, other) => other.score - one.score).slice(0, k));
}

/** How the answer came about, and why; "none" where the text has nothing that could be compared. */
function explained({ nearest, shared, worded }: Found, isAway: boolean): Pick<SearchResult['meta'], 'strategy' | 'why'> {
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
  if (shared) {
    strategies.push(SHARED[shared.way].strategy);
    reasons.push(SHARED[shared.way].why(shared.matched));
  }
  if (isAway) reasons.push('the model cannot be asked now, so words alone answer');
  if (worded?.length) {
    strategies.push('text');
    const sum = (of: (each: Worded) => number) => worded.reduce((total, each) => total + of(each), 0);
    const titles = sum(({ byTitle }) => byTitle.length);
    reasons.push(`${sum(({ matched }) => matched)} passages have a word of it, and ${titles} documents a title like it`);
  }
  return { strategy: strategies.join('+') || 'none', why: reasons.join('; ') || 'the text has nothing that could be compared' };
}

const SHARED: Record<SharedNearest['way'], { strategy: string; why: (matched: number) => string }> = {
  index: {
    strategy: 'shared-hnsw',
    why: (matched) => `${matched} shared vectors are so many that the index finds the nearest of them sooner`,
  },
  signs: {
    strategy: 'shared-signs',
    why: (matched) => `of ${matched} shared vectors the signs were compared, and those that could be the nearest`,
  },
  each: { strategy: 'shared-exact', why: (matched) => `each of ${matched} shared vectors was compared` },
};
