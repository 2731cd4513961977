import { VectorInvalid } from './document.errors';

/** Dimensions of every embedding; a smaller model's vectors are padded with zeros. */
export const EMBEDDING_DIMENSIONS = 1536;

/** The name that stands beside a vector which the client has made. */
export const CLIENT_MODEL = 'client';

/** Cosine needs the squares of a length to be numbers of 32 bits, in which pgvector adds them up. */
const SHORTEST = 1e-15;
const LONGEST = 1e15;

/**
 * A vector as a client sends it: 1536 numbers with a direction.
 * @param path the field's name
 * @throws VectorInvalid
 */
export function readVector(value: unknown, path: string): number[] {
  if (!Array.isArray(value) || value.length !== EMBEDDING_DIMENSIONS) {
    throw new VectorInvalid(path, 'wrong_dimension', `A vector is an array of ${EMBEDDING_DIMENSIONS} numbers.`);
  }
  const at = value.findIndex((element) => typeof element !== 'number' || !Number.isFinite(Math.fround(element)));
  if (at !== -1) throw new VectorInvalid(`${path}.${at}`, 'not_a_number', 'Each element is a finite number of 32 bits.');
  const vector = value as number[];
  const length = lengthOf(vector);
  if (length === 0) throw new VectorInvalid(path, 'zero', 'A vector of zeros has no direction.');
  if (length < SHORTEST || length > LONGEST) {
    throw new VectorInvalid(path, 'out_of_range', `A vector is between ${SHORTEST} and ${LONGEST} long.`);
  }
  return vector;
}

/** As PostgreSQL reads it: nine digits tell all numbers of 32 bits apart. */
export function vectorText(vector: readonly number[]): string {
  return `[${vector.map((element) => (element === 0 ? '0' : Math.fround(element).toPrecision(9))).join(',')}]`;
}

/** Whether both are the same once PostgreSQL keeps them. */
export function sameVector(one: readonly number[] | null | undefined, other: readonly number[] | null | undefined): boolean {
  if (!one || !other) return !one && !other;
  return one.every((element, index) => Math.fround(element) === Math.fround(other[index]!));
}

/** Of numbers of 32 bits: their squares are numbers of 64. */
const lengthOf = (vector: readonly number[]): number => Math.sqrt(vector.reduce((sum, element) => sum + element * element, 0));

/** The vector in the same direction, one long. */
export function normalised(vector: readonly number[]): number[] {
  const length = lengthOf(vector);
  return vector.map((element) => element / length);
}

/** The mean of the vectors, made one long; they are not empty and do not cancel each other out. */
export function normalisedMean(vectors: readonly (readonly number[])[]): number[] {
  return normalised(vectors[0]!.map((_, index) => vectors.reduce((total, vector) => total + vector[index]!, 0)));
}

/** The vector with zeros behind it: cosine and distances stay what they are. */
export function padded(vector: readonly number[]): number[] {
  return [...vector, ...Array<number>(EMBEDDING_DIMENSIONS - vector.length).fill(0)];
}

/** As PostgreSQL takes a vector in binary: its dimensions, nothing, and its elements as big-endian numbers of 32 bits. */
export function vectorBytes(vector: readonly number[]): Buffer {
  const numbers = new Float32Array(vector.length + 1);
  numbers.set(vector, 1);
  const bytes = Buffer.from(numbers.buffer).swap32();
  bytes.writeUInt16BE(vector.length);
  return bytes;
}
