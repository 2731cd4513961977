import { Injectable } from '@nestjs/common';
import { Database, SYSTEM } from '@studently/platform';

/** Vectors that can be compared with one another: those that one model has made. A row of `vector_spaces`. */
export interface VectorSpace {
  /** Of this model alone, also when it is gone: vectors that are made for it then are refused. */
  space: number;
  model: string;
  /** Only one serves: its vectors answer. The others are kept complete, so that they may. */
  state: 'filling' | 'serving' | 'retired';
  /** Of the endpoint that makes them; null: as the settings say. */
  url: string | null;
}

/** Of the vectors that clients bring. */
export const SUPPLIED_SPACE = 0;

const KNOWN_FOR_MS = 1000;

/** Which vectors answer. Another model may take over at any time; what has been asked for before then is still answered. */
@Injectable()
export class VectorSpaces {
  private known?: { spaces: Promise<VectorSpace[]>; until: number };

  constructor(private readonly database: Database) {}

  /** Whose vectors answer now. @throws DatabaseUnavailable */
  async serving(): Promise<VectorSpace> {
    const serving = (await this.all()).find(({ state }) => state === 'serving');
    if (!serving) throw new Error('No vector space serves: one row of vector_spaces has to.');
    return serving;
  }

  /** All that models of ours make vectors for: not one that is being removed. @throws DatabaseUnavailable */
  async all(): Promise<VectorSpace[]> {
    const now = performance.now();
    if (!this.known || now >= this.known.until) {
      const spaces = this.database.read<VectorSpace & object>(
        SYSTEM,
        `select space, model, state, url from vector_spaces where state not in ('supplied', 'removing') order by state = 'serving' desc, space`,
      );
      this.known = { spaces, until: now + KNOWN_FOR_MS };
      spaces.catch(() => (this.known = undefined));
    }
    return this.known.spaces;
  }
}
