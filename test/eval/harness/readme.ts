import { SOURCES } from '../sets';
import { CONSTANT_NOW, shareNow, WORDS_OF_LENGTH } from './fusion';
import { broken } from './judge';
import { figure, reading, rowsOf, signed, type Report } from './report';

const line = (cells: string[]) => `| ${cells.join(' | ')} |`;
const table = ([headings, ...rows]: string[][]) => [headings!, headings!.map(() => '---'), ...rows].map(line).join('\n');
const weights = (share: number) => `${share.toFixed(2)} : ${(1 - share).toFixed(2)}`;

export function readmeOf({ judged, tuning: { constant, constants, lengths }, fused, machine, seed, full }: Report): string {
  const faults = broken(judged);
  return `# Evaluation of search

Written by \`npm run eval -- --save\`; do not edit. The figures in full: [results.json](results.json).

How good is what \`POST /v1/documents/search\` finds: by words (\`mode: text\`), by meaning (\`vector\`), and by both (\`hybrid\`, what
is done unless asked otherwise)? Three sets of questions say so, of which other people have said what answers them.

![nDCG@10 of each method on each set](ndcg.svg)

${table(rowsOf(judged))}

hit@10: the share of questions that have a right document among the first ten. MRR: the mean of 1 / the place of the first right one.
nDCG@10: 1 where the right ones come first, less the later they come. "Hybrid over it": the difference of nDCG@10 and its 95 % interval;
where that leaves out 0, it is more than chance.

## Reading

${judged.map((one) => `- ${reading(one)}`).join('\n')}

![What hybrid adds to words alone and to meaning alone](differences.svg)

Hybrid must never be below the better of its parts beyond chance, and above it on at least one set. ${
    faults.length === 0 ? 'So it is.' : `**That does not hold.** ${faults.join(' ')}`
  }

## How much words should count

Hybrid search adds up 1 / (${CONSTANT_NOW} + place) of the rankings by words, by meaning and by titles. On the tuning halves other weights of words and
meaning were tried, for each length of question by itself: the two rankings that the platform gives for \`text\` (with titles) and for \`vector\`,
fused outside of it. Instead of the constant ${CONSTANT_NOW}, others were tried as well: a smaller one lets first places count more.
At best, nDCG@10 is ${constants.map(({ constant: one, ndcg }) => `${figure(ndcg)} with ${one}`).join(', ')}. "Best" is with ${constant}.

![nDCG@10 by the share of words in the fusion](tuning.svg)

${table([
  [
    'questions of',
    'how many',
    'words alone',
    'meaning alone',
    'fused as now',
    'now at words : meaning',
    'best',
    'at words : meaning',
  ],
  ...lengths.map(({ length, questions, text, vector, now, best, share }) => [
    WORDS_OF_LENGTH[length],
    String(questions),
    ...[text, vector, now].map(figure),
    weights(shareNow(length)),
    figure(best),
    weights(share),
  ]),
])}

(nDCG@10; the mean over the sets that have such questions. The best on the half on which it was chosen flatters itself.) On the other
halves, which are what the first table reports, the weights found make this of it, fused outside of the platform again:

${table([
  ['set', 'fused as now', 'with the weights found', 'difference'],
  ...fused.map(({ set, now, tuned: found, difference: { mean, ci95 } }) => [
    set,
    figure(now),
    figure(found),
    `${signed(mean)} (${ci95.map(signed).join(' … ')})`,
  ]),
])}

## Sets

${SOURCES.map(({ name, about }) => {
  const one = judged.find(({ set }) => set === name);
  return `- **${name}**: ${about}${one ? ` ${one.documents} documents, ${one.passages} passages.` : ''}`;
}).join('\n')}

${full ? 'All documents and questions.' : `Documents and questions were chosen by seed ${seed}; \`--full\` takes all.`} They are read from Debian packages, and nothing is
copied into this repository: [where data comes from](../data-sources.md).

A judgment names one document, seldom more. Others may answer as well, and count as wrong: the figures compare methods with each
other, and say less about how content a reader would be. All sets are English and about computing, as is the model that comes along.

## Method

The platform's own answers are judged. A learner of his own for each set sends the documents by \`POST /v1/documents/bulk\`, two workers
cut and embed them with the model that comes along, and the learner asks each question in each mode with \`k\` 100. A document stands where its first
passage does, and the first ten documents count. The vectors are made anew in each run, as a passage that brings its own vector would not
be one that the platform has cut.

Each set is halved by a hash of the question's text. Weights are tuned on one half, everything in the first table is of the other.
Intervals are percentiles of ${(10_000).toLocaleString('en-US')} bootstrap samples, differences are taken question by question. Everything that is left to chance is
seeded: the same seed gives the same figures.

- nDCG: Järvelin and Kekäläinen, _Cumulated gain-based evaluation of IR techniques_, ACM TOIS 20(4), 2002
- paired bootstrap: Sakai, _Evaluating evaluation metrics based on the bootstrap_, SIGIR 2006
- reciprocal rank fusion: Cormack, Clarke and Büttcher, SIGIR 2009

## How to use it

\`\`\`sh
sudo scripts/provision-debian.sh                     # the servers and the packages with the data
npm run eval                                         # about ten minutes on two cores; a table
npm run eval -- faq --json                           # one object a line, with set, method, hitAt10, mrr, ndcgAt10, ci95, queries
npm run eval -- --keep rankings.json                 # keeps what was found, and
npm run eval -- --from rankings.json                 # judges it again, without any server
\`\`\`

It exits with 2 where a promise does not hold. A shorter form with the FAQ alone is part of \`npm test\`.

## Machine

${machine.date}, commit ${machine.commit}: ${machine.cores} cores (${machine.cpu}), ${machine.memoryGb} GB, ${machine.system}; ${Object.entries(
    machine.versions,
  )
    .map(([name, version]) => `${name} ${version}`)
    .join(', ')}
`;
}
