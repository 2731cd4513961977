import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { lineOf, type BulkLine, type Rejection } from '@studently/platform';
import { readStudyItem, type ImportedStudyItem } from '@studently/study';
import { packageFolder } from './package-folder';

/** What is asked of a country in `countries.json`; there is more in it. */
interface Country {
  name: { common: string };
  cca3: string;
  tld: string[];
  /** An empty list where there are none. */
  currencies: Record<string, { name: string; symbol: string }> | [];
  capital: string[];
  region: string;
  subregion: string;
  languages: Record<string, string>;
  demonyms?: { eng?: { m: string } };
  /** By their cca3. */
  borders: string[];
}

/** An answer of '' is none: then there is no card. */
type Question = [topic: string, front: (country: string) => string, back: (country: Country, nameOf: Names) => string];
type Names = ReadonlyMap<string, string>;

const listed = (names: readonly string[]) => names.filter((name) => name !== '').join(', ');

const QUESTIONS: Question[] = [
  ['capital', (country) => `What is the capital of ${country}?`, ({ capital }) => listed(capital)],
  [
    'currency',
    (country) => `What do people pay with in ${country}?`,
    ({ currencies }) => listed(Object.entries(currencies).map(([code, { name }]) => `${name} (${code})`)),
  ],
  [
    'languages',
    (country) => `Which languages are official in ${country}?`,
    ({ languages }) => listed(Object.values(languages)),
  ],
  [
    'region',
    (country) => `In which part of the world is ${country}?`,
    ({ region, subregion }) => listed([subregion, region].filter((name, index, all) => all.indexOf(name) === index)),
  ],
  [
    'borders',
    (country) => `Which countries border on ${country}?`,
    ({ borders }, nameOf) => listed(borders.map((code) => nameOf.get(code) ?? code)),
  ],
  ['domain', (country) => `What is the internet domain of ${country}?`, ({ tld }) => listed(tld)],
  ['demonym', (country) => `What is somebody from ${country} called?`, ({ demonyms }) => demonyms?.eng?.m ?? ''],
];

/** Of 250 countries, answered or not. */
export const COUNTRY_LINES = 250 * QUESTIONS.length;

/**
 * Flashcards about every country: capital, currency, languages, region, neighbours, domain and demonym.
 * @throws ConfigurationError where the package world-countries is not installed
 */
export async function* readCountries(): AsyncGenerator<BulkLine<ImportedStudyItem> | Rejection> {
  const file = join(packageFolder('world-countries'), 'dist', 'countries.json');
  const countries = JSON.parse(await readFile(file, 'utf8')) as Country[];
  const nameOf = new Map(countries.map(({ cca3, name }) => [cca3, name.common]));
  let line = 0;
  for (const country of countries) {
    for (const [topic, front, back] of QUESTIONS) {
      line += 1; // of a question that has no answer too: lines stay what they are
      const answer = back(country, nameOf);
      if (answer === '') continue;
      const content = { front: front(country.name.common), back: answer, country: country.cca3 };
      yield lineOf(line, content.front.length + answer.length, () =>
        readStudyItem({ type: 'flashcard', content, tags: ['countries', topic] }),
      );
    }
  }
}
