import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { htmlText } from '../../../libs/datasets/src/html-text';
import { documentId, lineOf, wordsOf, type JudgedSet, type Source } from './judged-set';

const DEBIAN = '/usr/share/doc/debian/FAQ';
const PYTHON = '/usr/share/doc/python3.11/html/faq';

const name = 'faq';

/** Shorter answers are a reference to another one. */
const FEWEST_WORDS = 5;

interface Pair {
  question: string;
  answer: string;
}

export const faq: Source = {
  name,
  about:
    "Question → its answer: the questions of Debian's FAQ and of Python's are asked as they stand there, and what their authors " +
    'wrote below is the one right document. An answer has no title, and its question is not part of it.',
  packages: { 'debian-faq': join(DEBIAN, 'index.en.html'), 'python3.11-doc': join(PYTHON, 'index.html') },
  read: async () => setOf([...pairsOf(DEBIAN, /\.en\.html$/), ...pairsOf(PYTHON, /\.html$/)]),
};

/** Both FAQs are small: all of them. A question that both answer has two right documents. */
function setOf(pairs: Pair[]): JudgedSet {
  const documents = pairs.map(({ answer }, nr) => ({ id: documentId(name, String(nr)), type: 'article', content: answer }));
  const answers = Map.groupBy(documents, (_, nr) => pairs[nr]!.question);
  return { documents, questions: [...answers].map(([text, right]) => ({ text, relevant: right.map(({ id }) => id) })) };
}

function pairsOf(folder: string, files: RegExp): Pair[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile() && files.test(entry.name)) // Debian's pages are there again as links
    .map((entry) => entry.name)
    .sort()
    .flatMap((file) => pairsIn(readFileSync(join(folder, file), 'utf8')));
}

/** A heading that asks, and what stands below it before the next heading. */
export function pairsIn(html: string): Pair[] {
  const parts = html.split(/<h[1-6]\b[^>]*>([\s\S]*?)<\/h[1-6]>/); // text, heading, text, heading, text
  const pairs: Pair[] = [];
  for (let at = 1; at < parts.length; at += 2) {
    const question = lineOf(parts[at]!).replace(/^[\d.]+ /, '');
    const answer = htmlText(parts[at + 1]!).text;
    if (question.endsWith('?') && wordsOf(answer) >= FEWEST_WORDS) pairs.push({ question, answer });
  }
  return pairs;
}
