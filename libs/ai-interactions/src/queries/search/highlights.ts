import { Injectable } from '@nestjs/common';
import { Database, type Learner } from '@studently/platform';

/** A part of a text, in UTF-16 code units. */
export interface Highlight {
  startsAt: number;
  endsAt: number;
}

const WORD = /[\p{L}\p{N}]+/gu;
/** A search shows no more words than this by far, unless its passages are whole documents. */
const MOST_WORDS = 5000;

/** PostgreSQL knows which words are forms of one another. The words are parameters, and kept nowhere. */
const ALIKE = `
  select word from unnest($1::text[]) word
  where to_tsvector('english', word) @@ replace(plainto_tsquery('english', $2)::text, '&', '|')::tsquery`;

/** Where in texts the words of a question stand, in any of their forms. */
@Injectable()
export class Highlights {
  constructor(private readonly database: Database) {}

  /** @returns for each text its highlights, in order. @throws DatabaseUnavailable */
  async find(actor: Learner, question: string, texts: readonly string[]): Promise<Highlight[][]> {
    const found = texts.map((text) => [...text.matchAll(WORD)]);
    const words = new Set(found.flatMap((matches) => matches.map(([word]) => word.toLowerCase())));
    const rows = await this.database.query<{ word: string }>(actor, ALIKE, [[...words].slice(0, MOST_WORDS), question]);
    const alike = new Set(rows.map(({ word }) => word));
    return found.map((matches) =>
      matches
        .filter(([word]) => alike.has(word.toLowerCase()))
        .map(({ 0: word, index }) => ({ startsAt: index, endsAt: index + word.length })),
    );
  }
}
