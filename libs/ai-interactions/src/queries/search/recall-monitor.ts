import { Injectable, Logger, type BeforeApplicationShutdown } from '@nestjs/common';
import { InjectMetric } from '@willsoto/nestjs-prometheus';
import type { Gauge } from 'prom-client';
import { NearestPassages, type NearestSearch } from './nearest-passages';
import { rankedNearest, type RankedPassage } from './ranking';

export const RECALL = 'vector_search_recall';
export const RECALL_BOUND = 'vector_search_recall_lower_bound';

/** Of the searches by signs, so many are looked at again. */
const SHARE = 0.01;
/** After a look so many times as long is none: to compare every vector takes long, and others search meanwhile. */
const REST = 50;
const GOAL = 0.99;
/** The latest so many count. */
const LOOKED_AT = 500;
/** Fewer say nothing yet. */
const ENOUGH = 20;
/** Of the normal distribution: one-sided, 95 % */
const Z = 1.645;

interface Checked {
  wanted: number;
  found: number;
}

/**
 * Looks at a share of the searches again, in the background, one at a time, by comparing every vector; the metrics say how much of what
 * should have been found was. If that drops below 0.99, from then on more vectors come into question.
 */
@Injectable()
export class RecallMonitor implements BeforeApplicationShutdown {
  private readonly logger = new Logger(RecallMonitor.name);
  private checked: Checked[] = [];
  private looking?: Promise<void>;
  private isEnding = false;
  private restsUntil = 0;

  constructor(
    private readonly passages: NearestPassages,
    @InjectMetric(RECALL) private readonly recall: Gauge,
    @InjectMetric(RECALL_BOUND) private readonly bound: Gauge,
  ) {}

  async beforeApplicationShutdown(): Promise<void> {
    this.isEnding = true;
    await this.looking;
  }

  /** Perhaps looks at a search again. Nobody waits for it. */
  consider(search: NearestSearch): void {
    const began = performance.now();
    if (this.looking || this.isEnding || began < this.restsUntil || Math.random() >= SHARE) return;
    this.looking = this.check(search)
      .catch((error: unknown) =>
        this.logger.debug(`A search was not checked: ${error instanceof Error ? error.name : 'failure'}`),
      )
      .finally(() => {
        this.looking = undefined;
        this.restsUntil = performance.now() + REST * (performance.now() - began);
      });
  }

  /** Looks at a search again. @throws DatabaseUnavailable */
  async check(search: NearestSearch): Promise<void> {
    const ids = async (how: 'find' | 'findExactly') =>
      (JSON.parse((await this.passages[how]({ ...search, show: rankedNearest })).found) as RankedPassage[]).map(
        ({ passageId }) => passageId,
      );
    const [found, wanted] = [await ids('find'), await ids('findExactly')];
    if (wanted.length === 0) return;
    this.checked = [...this.checked, { wanted: wanted.length, found: wanted.filter((id) => found.includes(id)).length }].slice(
      -LOOKED_AT,
    );
    const { mean, lower } = recallOf(this.checked);
    this.recall.set(mean);
    this.bound.set(lower);
    if (mean >= GOAL || this.checked.length < ENOUGH) return;
    this.passages.widen();
    this.checked = [];
    this.logger.warn(
      `Vector search has found ${(mean * 100).toFixed(1)} % of what is nearest: more passages come into question now`,
    );
  }
}

/** The mean, and the lower end of Wilson's interval of it (Journal of the American Statistical Association 22, 1927). */
export function recallOf(checked: readonly Checked[]): { mean: number; lower: number } {
  const sum = (of: (each: Checked) => number) => checked.reduce((total, each) => total + of(each), 0);
  const n = sum(({ wanted }) => wanted);
  const mean = sum(({ found }) => found) / n;
  const centre = mean + Z ** 2 / (2 * n);
  const spread = Z * Math.sqrt((mean * (1 - mean)) / n + Z ** 2 / (4 * n ** 2));
  return { mean, lower: (centre - spread) / (1 + Z ** 2 / n) };
}
