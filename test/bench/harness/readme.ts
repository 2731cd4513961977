import { HEADINGS, number, rowsOf } from './table';
import type { Check, Saved } from './workload';

/** Of the table in the design, in its order: what is still to come. */
const PLANNED = [
  'cached-read',
  'hit-rate',
  'cold-read',
  'append',
  'search',
  'search-curve',
  'shared-search',
  'due',
  'review',
  'import',
  'ingest',
  'login',
  'jobs',
  'memory',
  'start',
];

/** @param flames names of the flame graphs beside it */
export function readmeOf(results: Saved[], flames: string[]): string {
  const measured = new Set(results.map(({ workload }) => workload));
  const missing = PLANNED.filter((workload) => !measured.has(workload));
  return `# Benchmarks

Written by \`npm run bench -- --save\`; do not edit. The figures in full: [results.json](results.json).

![Each workload against its limit, and latencies](overview.svg)

${table(results)}
${results.flatMap(({ workload, curve }) => (curve ? [`\n![${curve.title}](${workload}.svg)\n`] : [])).join('')}
## Reading

${results.map(reading).join('\n\n')}

${missing.length > 0 ? `Not measured yet: ${missing.join(', ')}.` : ''}

Where the CPU time of the platform goes, as flame graphs (\`npm run bench -- WORKLOAD --profile\`): ${flames.map((flame) => `[${flame}](${flame})`).join(', ')}.

## Method

Each figure is compared with a limit that is measured in the same run, in turns (A B, B A, …), after a warm-up that does not
count; shown are medians. Client, server and limit are processes of their own; PostgreSQL and Redis are this run's own, on
loopback, with \`fsync\` and \`synchronous_commit\` on. The client is autocannon in a closed loop, latencies are exact (not from a
histogram), and any error, timeout or status other than 2xx ends the benchmark as a fault. CPU is user + system time of the API
process from \`/proc/<pid>/stat\`, so it also holds what the process does beside requests (outbox relay). The API runs as built,
with \`LOG_ACCESS=false\`: the limits write no access log either.

- **cached-read**: 32 connections read a chat with 50 messages. Limit: [a bare Fastify](../../test/bench/bare-fastify.ts) that asks
  Redis for the same keys in the same order through the same client and sends the same bytes and headers (checked), untouched
  from Redis to the socket, at each request. The API counts each request there as well, but believes a session for half a second and sends
  a view that it remembers, if its generation still stands in Redis. The notes also name a limit that takes the view as a string on the way.
- **hit-rate**: 16 connections to two API processes read and write 500 chats with 10 messages of 20 learners, the n-th most
  popular in proportion to 1/n, 5 % of the requests append a message. Each view has been read once before. Hits are counted by
  the API's metrics, stale reads by the checker of [the freshness protocol](../freshness.md): a read must show what was
  acknowledged 100 ms before. Latency is of the store's own get of a generation and a view, one after the other on an idle Redis.
- **append**: 8 connections write to 32 chats of 4 learners. Limit: \`pgbench\` with 8 clients, prepared statements,
  [the statements that the API sends](../../test/bench/harness/append-scripts.ts) in as many round trips, on a copy of the
  database. "In one trip" is the same work pipelined: what is left when nobody waits for answers. The next side starts only when
  the relay has emptied the outbox.
- **cold-read**: one connection reads chats with 50 messages, each once in a run, so that neither view nor generation is in the
  cache (checked in the API's metrics: not one hit); between runs the cache is emptied, the session stays. Limit: \`pgbench\`, one
  client, with the API's transaction (begin, whom it acts for, the statement of the read model, commit) as one pipeline, under
  row-level security, prepared, on 100 of the chats.
- **due**: 8 connections ask for 50 of 1,000 items that are due. Limit: [a bare Fastify](../../test/bench/bare-due.ts) that sends
  the API's own statement, prepared, in the same pipelined transaction under the same role, and answers with the same bytes
  (checked); it asks Redis for nothing: neither for a session nor for the learner's time zone. "With 1M items": the same learner in a database
  where 999 others have 1,000 items each, compared with a database where nobody else has any.
- **review**: 8 connections review 2,000 cards of 4 learners in no order, each time with a new \`clientReviewId\`. Limit: \`pgbench\`
  as with append, with [these statements](../../test/bench/harness/review-scripts.ts).
- **import**: 10,000 flashcards made of WordNet 3.1, as NDJSON in one request, for a new learner each time. Limit: COPY of the same
  rows from a file that PostgreSQL reads itself, in one transaction, as superuser, into the same table with all its indexes,
  constraints and triggers. CPU is of one whole request. Memory: \`VmRSS\` of the API process every 20 ms over one request of 200,000
  lines; it is flat if the second half's most is at most 1.1× the first half's. Others' reads: 200 a second, cached, of another
  learner's chat with 50 messages, each sent at its time whether or not earlier ones are answered, alone and while at least 50,000 cards are imported from before the first to
  after the last of them. WAL: how far \`pg_current_wal_lsn\` has moved, by all that PostgreSQL did meanwhile.
- **ingest**: 2,000 documents of one passage, each with its 1,536 numbers, as NDJSON in one request, for a new learner each time. Limit: COPY of
  the rows of such a learner from files that PostgreSQL reads itself, in one transaction, as superuser, into the same three tables
  with all their indexes, constraints and triggers: the contents are sealed already there.
- **search**: one connection asks 32 questions, each a vector near a passage of a learner with 10,000 passages among 100,000 of ten, of
  1536 dimensions in 100 clusters. Limit: [the best SQL found](../../test/bench/harness/passages.ts), alone, without row-level
  security, in a table made for it: a \`bit(1536)\` of each vector's signs, compared first, and the best candidates by their
  \`halfvec\`; as many candidates as recall 0.99 needs on this set. What is right is what comparing every passage finds.
- **search-curve**: as search, for learners with 1,000 to 1,000,000 passages in one database; beyond the first 10,000 a passage is near two others.
- **shared-search**: the statement that finds the nearest published passages, without HTTP, on one connection: as it chooses, always by the index, and always
  by the signs, under filters that let one in 1 to 1,000 of 20,000 through, most of them nothing of what is near the question. What is right is what
  comparing each vector finds.
- **start**: from the start of the process until \`GET /health/ready\` answers 200.

## Machine

${machines(results)}
`;
}

function table(results: Saved[]): string {
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`;
  return [HEADINGS, HEADINGS.map(() => '---'), ...rowsOf(results)].map(line).join('\n');
}

/** In words, missed goals first. */
function reading({
  workload,
  checks,
  details,
  notes,
  goal,
  loadAverage,
  runs,
  seconds,
  perRun = `${seconds} s`,
}: Saved): string {
  const missed = checks.filter((check) => !check.met);
  const verdict = missed.length === 0 ? 'Goal met' : `**Goal missed**: ${missed.map(miss).join('; ')}`;
  const { p50, p99, limitP50, limitP99 } = details;
  const latencies =
    p50 === undefined || p99 === undefined || limitP50 === undefined || limitP99 === undefined
      ? []
      : [`Latency p50 ${number(p50)} ms and p99 ${number(p99)} ms (limit ${number(limitP50)} and ${number(limitP99)} ms)`];
  const extra = [...latencies, ...notes].map((note) => ` ${note[0]!.toUpperCase()}${note.slice(1)}.`).join('');
  return `**${workload}** (${goal}). ${verdict}.${extra} ${runs} runs of ${perRun}, load average before: ${loadAverage.toFixed(2)}.`;
}

function miss({ name, value, unit, ratio, goal }: Check): string {
  return `${name} is ${ratio === undefined ? `${number(value)} ${unit}` : `${ratio.toFixed(2)}×`}, wanted ${goal}`;
}

/** Each machine once, with the workloads measured there. */
function machines(results: Saved[]): string {
  const groups = new Map<string, string[]>();
  for (const { workload, machine } of results) {
    const { date, commit, cores, cpu, memoryGb, system } = machine;
    const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`);
    const text = `${date}, commit ${commit}: ${cores} cores (${cpu}), ${memoryGb} GB, ${system}; ${versions.join(', ')}`;
    groups.set(text, [...(groups.get(text) ?? []), workload]);
  }
  return [...groups].map(([text, workloads]) => `- ${workloads.join(', ')}: ${text}`).join('\n');
}
