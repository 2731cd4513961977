import { Injectable } from '@nestjs/common';
import { Database, SYSTEM } from '@studently/platform';

/** Vectors that can be compared with one another: those that one model has made. A row of `vector_spaces`. */
export interface VectorSpace {
  space: number;
  model: string;
  /** Of the endpoint that makes them; null: as the settings say. */
  url: string | null;
}

/** Of the vectors that clients bring. */
export const SUPPLIED_SPACE = 0;

const KNOWN_FOR_MS = 1000;

/** Which vectors answer. Another model may take over at any time; what has been asked for before then is still answered. */
@Injectable()
export class VectorSpaces {
  private known?: { space: Promise<VectorSpace>; until: number };

  constructor(private readonly database: Database) {}

  /** Whose vectors answer now. @throws DatabaseUnavailable */
  async serving(): Promise<VectorSpace> {
    const now = performance.now();
    if (!this.known || now >= this.known.until) {
      const space = this.read();
      this.known = { space, until: now + KNOWN_FOR_MS };
      space.catch(() => (this.known = undefined));
    }
    return this.known.space;
  }

  private async read(): Promise<VectorSpace> {
    const [space] = await this.database.read<VectorSpace & object>(
      SYSTEM,
      `select space, model, url from vector_spaces where state = 'serving'`,
    );
    if (!space) throw new Error('No vector space serves: one row of vector_spaces has to.');
    return space;
  }
}
