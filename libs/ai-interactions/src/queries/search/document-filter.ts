import { FilterUnknown } from '../../domain/document.errors';

type Scalar = string | number | boolean | null;

export interface DocumentFilter {
  type?: string | { $in: string[] };
  /**
   * Field → what it has to be: a value that the metadata contain (`@>`, so an object may be partial), or conditions that all hold:
   * `$eq`, `$in` (at most 100), `$gt`, `$gte`, `$lt`, `$lte` with values, `$exists` with true or false, `$contains` with an element of an array.
   */
  metadata?: Record<string, unknown>;
}

/** A filter as SQL takes it: all of what is there has to hold. */
export interface DocumentCondition {
  types?: string[];
  /** jsonb */
  contained?: Record<string, unknown>;
  /** A jsonpath predicate */
  path?: string;
}

const COMPARISONS: Record<string, string> = { $eq: '==', $gt: '>', $gte: '>=', $lt: '<', $lte: '<=' };

/** @returns undefined where it holds for every document. @throws FilterUnknown */
export function conditionOf({ type, metadata = {}, ...unknown }: DocumentFilter): DocumentCondition | undefined {
  if (Object.keys(unknown).length > 0) throw new FilterUnknown(Object.keys(unknown));
  const entries = Object.entries(metadata);
  const contained = entries.filter(([, condition]) => !isOperators(condition));
  const paths = entries.flatMap(([field, condition]) => (isOperators(condition) ? pathsOf(field, condition) : []));
  if (type === undefined && entries.length === 0) return undefined;
  return {
    ...(type !== undefined && { types: typeof type === 'string' ? [type] : type.$in }),
    ...(contained.length > 0 && { contained: Object.fromEntries(contained) }),
    ...(paths.length > 0 && { path: paths.join(' && ') }),
  };
}

function isOperators(condition: unknown): condition is Record<string, unknown> {
  return typeof condition === 'object' && condition !== null && Object.keys(condition).some((key) => key.startsWith('$'));
}

/** Names and values are literals of jsonpath, which are those of JSON. An array is as good as one of its elements (jsonpath's lax mode). */
function pathsOf(field: string, condition: Record<string, unknown>): string[] {
  const at = `$.${JSON.stringify(field)}`;
  return Object.entries(condition).map(([operator, value]) => {
    const comparison = COMPARISONS[operator];
    if (comparison && isScalar(value)) return `(${at} ${comparison} ${JSON.stringify(value)})`;
    if (operator === '$in' && Array.isArray(value) && value.length <= MOST_ALTERNATIVES && value.every(isScalar)) {
      return value.length === 0 ? '(1 == 0)' : `(${value.map((each) => `${at} == ${JSON.stringify(each)}`).join(' || ')})`;
    }
    if (operator === '$exists' && typeof value === 'boolean') return value ? `exists(${at})` : `!exists(${at})`;
    if (operator === '$contains' && isScalar(value)) return `exists(${at}[*] ? (@ == ${JSON.stringify(value)}))`;
    throw new FilterUnknown([`metadata.${field}.${operator}`]);
  });
}

/** PostgreSQL goes down into each alternative from the one before. */
const MOST_ALTERNATIVES = 100;

const isScalar = (value: unknown): value is Scalar => value === null || ['string', 'number', 'boolean'].includes(typeof value);
