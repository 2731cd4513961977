import { Injectable } from '@nestjs/common';
import type { Learner } from '@studently/platform';
import { NearestPassages, type NearestSearch } from '../queries/search/nearest-passages';
import { rankedNearest, type RankedPassage } from '../queries/search/ranking';

/** A passage that stands for a question, as no question is kept: with its vectors in the new space and in the old one. */
export interface GateQuestion {
  userId: string;
  now: number[];
  before: number[];
}

export interface GateResult {
  questions: number;
  /** Of the ten that are nearest in the new space, the share that its searches find. */
  recall: number;
  /** Of the ten that are nearest in the old space, the share that is also among those of the new one: the models differ in the others. */
  overlap: number;
}

/** A space that finds less does not take over. */
export const GATE = 0.99;
const K = 10;

/** Whether searches in a space find what they should, by comparing them with exact ones. */
@Injectable()
export class RecallGate {
  constructor(private readonly passages: NearestPassages) {}

  async check(questions: readonly GateQuestion[], spaces: { now: number; before: number }): Promise<GateResult> {
    let [wanted, found, same, old] = [0, 0, 0, 0];
    for (const { userId, now, before } of questions) {
      const actor: Learner = { userId, role: 'STUDENT' };
      const search = (vector: number[], space: number) => ({ actor, vector, spaces: [space], k: K });
      const exact = await this.ids('findExactly', search(now, spaces.now));
      const answered = await this.ids('find', search(now, spaces.now));
      const earlier = await this.ids('findExactly', search(before, spaces.before));
      wanted += exact.length;
      found += exact.filter((id) => answered.includes(id)).length;
      old += earlier.length;
      same += earlier.filter((id) => exact.includes(id)).length;
    }
    return { questions: questions.length, recall: share(found, wanted), overlap: share(same, old) };
  }

  private async ids(how: 'find' | 'findExactly', search: Omit<NearestSearch, 'scope' | 'show'>): Promise<string[]> {
    const { found } = await this.passages[how]({ ...search, scope: { except: [] }, show: rankedNearest });
    return (JSON.parse(found) as RankedPassage[]).map(({ passageId }) => passageId);
  }
}

const share = (some: number, all: number) => (all === 0 ? 1 : some / all);
