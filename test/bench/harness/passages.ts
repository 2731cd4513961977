import type { Client } from 'pg';
import { OTHER_LEARNER, OTHER_LEARNERS, WITHOUT_FOREIGN_KEYS } from './other-learners';

/** Passages with vectors as embeddings are: in clusters, each a direction with noise around it, all of length one. */

const TOPICS = 100;
const DISTINCT = 10_000;
const PASSAGES_A_DOCUMENT = 10;
/** How long the noise is beside a topic, which is 1 long: two passages of one topic then have a cosine of about 0.7. */
const PASSAGE_NOISE = 0.65;
/** How much of another passage there is in one that is near to a first. */
const NEIGHBOUR = 0.5;
/** Of a question beside the passage that it is near to. */
const QUESTION_NOISE = 0.3;
const DIMENSIONS = 1536;

/** A random vector of that length, anew for each `row`. */
const noise = (length: number, row: string) => `(
  select l2_normalize(array_agg(random() - 0.5)::vector) from generate_series(1, ${DIMENSIONS}) where ${row} is not null
) * array_fill(${length}::real, array[${DIMENSIONS}])::vector`;

const VECTORS = `
  create table bench_topics as select nr, ${noise(1, 'nr')} as vector from generate_series(1, ${TOPICS}) nr;
  create table bench_vectors as
  select passage as nr, l2_normalize(topic.vector + ${noise(PASSAGE_NOISE, 'passage')}) as vector
  from generate_series(1, ${DISTINCT}) passage join bench_topics topic on topic.nr = 1 + passage % ${TOPICS};
  create unique index on bench_vectors (nr);`;

const TEXT =
  'Mitosis makes two cells with the same chromosomes, for growth; meiosis makes four with half of them. ' +
  'Both begin after the chromosomes have doubled, which is why each of them then has two chromatids.';

/** $2 passages of one learner ($1) or of each of $3 others. Others may have equal ones: nobody compares them. */
const LEARNERS = `select coalesce($1::uuid, ${OTHER_LEARNER}) as user_id from generate_series(1, $3) learner`;
const DOCUMENT = `md5(user_id || ' ' || (nr - 1) / ${PASSAGES_A_DOCUMENT})::uuid`;
const DOCUMENTS = `
  insert into documents (user_id, id, type, title, content, embedding, embedding_model, status)
  select user_id, ${DOCUMENT}, 'lecture', 'Lecture ' || nr, '${TEXT}', vector, 'client', 'ready'
  from (${LEARNERS}) learners cross join bench_vectors where nr <= $2 and nr % ${PASSAGES_A_DOCUMENT} = 1`;
const PASSAGE = `md5(user_id || ' passage ' || nr)::uuid`;
const PASSAGES = `
  insert into document_passages (user_id, id, document_id, ordinal, content, starts_at)
  select user_id, ${PASSAGE}, ${DOCUMENT}, 1 + (nr - 1) % ${PASSAGES_A_DOCUMENT}, '${TEXT}', 0
  from (${LEARNERS}) learners cross join bench_vectors where nr <= $2`;
const PASSAGE_VECTORS = `
  insert into passage_vectors (user_id, passage_id, document_id, space, embedding)
  select user_id, ${PASSAGE}, ${DOCUMENT}, 0, vector from (${LEARNERS}) learners cross join bench_vectors where nr <= $2`;

export interface PassageOwner {
  userId: string;
  passages: number;
}

/** Writes the passages of the given learners, and so many as each of so many others has. */
export async function writePassages(
  client: Client,
  owners: readonly PassageOwner[],
  others: { learners: number; passages: number },
): Promise<void> {
  await client.query(WITHOUT_FOREIGN_KEYS);
  await writeVectors(client, Math.max(others.passages, ...owners.map(({ passages }) => passages)));
  await client.query(OTHER_LEARNERS, [others.learners]);
  const write = async (...values: [userId: string | null, passages: number, learners: number]) => {
    for (const statement of [DOCUMENTS, PASSAGES, PASSAGE_VECTORS]) await client.query(statement, values);
  };
  for (const { userId, passages } of owners) await write(userId, passages, 1);
  await write(null, others.passages, others.learners);
  for (const table of ['documents', 'document_passages', 'passage_vectors']) await client.query(`vacuum analyze ${table}`);
}

/** So many (10,000 at least) in the table `bench_vectors (nr, vector)`: beyond the first 10,000 each is near one of them, and so in its cluster. */
export async function writeVectors(client: Client, count: number): Promise<void> {
  await client.query(VECTORS);
  await client.query(
    `insert into bench_vectors
     select numbers.nr, l2_normalize(near.vector + other.vector * array_fill(${NEIGHBOUR}::real, array[${DIMENSIONS}])::vector)
     from generate_series(${DISTINCT + 1}, $1::int) numbers (nr)
     join bench_vectors near on near.nr = 1 + numbers.nr % ${DISTINCT}
     join bench_vectors other on other.nr = 1 + (numbers.nr + 97 * (numbers.nr / ${DISTINCT})) % ${DISTINCT}`,
    [count],
  );
}

/** Vectors near some of a learner's first `passages`, as text. */
export async function writeQuestions(client: Client, count: number, passages: number): Promise<string[]> {
  const { rows } = await client.query<{ question: string }>(
    `select l2_normalize(near.vector + ${noise(QUESTION_NOISE, 'near.nr')})::text as question
     from (select * from bench_vectors where nr <= $2 order by random() limit $1) near`,
    [count, passages],
  );
  return rows.map(({ question }) => question);
}

/** What the limit searches: the signs of each vector in a row that is small, the vector beside it with half the digits. */
const QUANTIZED = `
  create table bench_quantized (user_id uuid not null, id uuid not null, bits bit(${DIMENSIONS}) not null, embedding halfvec(${DIMENSIONS}) not null);
  alter table bench_quantized alter column embedding set storage external;
  insert into bench_quantized
  select user_id, passage_id, binary_quantize(embedding)::bit(${DIMENSIONS}), embedding::halfvec(${DIMENSIONS})
  from passage_vectors order by user_id;
  create index on bench_quantized (user_id);`;

export async function quantizePassages(client: Client): Promise<void> {
  await client.query(QUANTIZED);
  await client.query('vacuum analyze bench_quantized');
}

/** The ids of the ten passages nearest to the question: the nearest by signs alone, then by what the vectors say. */
export const quantizedSearch = (userId: string, question: string, candidates: number) => `
  select id from (
    select id, embedding from bench_quantized where user_id = '${userId}'
    order by bits <~> binary_quantize('${question}'::vector)::bit(${DIMENSIONS}) limit ${candidates}
  ) candidate order by embedding <=> '${question}'::halfvec(${DIMENSIONS}) limit 10`;

/** The same by comparing every passage, which is right by definition. */
export const exactSearch = (userId: string, question: string) => `
  select passage_id as id from passage_vectors where user_id = '${userId}' order by embedding <=> '${question}'::vector limit 10`;
