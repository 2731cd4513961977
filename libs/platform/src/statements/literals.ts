import { createHash } from 'node:crypto';

/** Strings ('…' with '' and, after E, with backslashes; $tag$…$tag$), and what may be a whole comment. */
const QUOTED =
  /[eE]'(?:[^'\\]|\\[^]|'')*(?:'|$)|'(?:[^']|'')*(?:'|$)|\$([A-Za-z_]\w*)?\$[^]*?(?:\$\1\$|$)|--.*|\/\*[^]*?(?:\*\/|$)/g;
/** Numbers that are no part of a name, nor the number of a parameter. */
const NUMBER = /(?<![\w$."])\d+(?:\.\d*)?(?:[eE][+-]?\d+)?(?![\w"])/g;

/** SQL, or an expression of a plan, without any value that somebody has written into it: `?` stands for each. Comments go. */
export function withoutLiterals(sql: string): string {
  return sql.replace(QUOTED, (found) => (found.startsWith('--') || found.startsWith('/*') ? ' ' : '?')).replace(NUMBER, '?');
}

/** A statement as it is told apart from others, whatever its values: on one line, and without literals. */
export function normalized(sql: string): string {
  return withoutLiterals(sql)
    .replace(/\s+/g, ' ')
    .replace(/(?<![; ])[; ]+$/, '')
    .trim();
}

/**
 * The same for a statement as the application sends it, and as pg_stat_statements shows it, where a parameter stands for each constant.
 * @returns 16 hexadecimal digits
 */
export function fingerprintOf(sql: string): string {
  const alike = normalized(sql)
    .replace(/\$\d+/g, '?')
    .replace(/\b(?:true|false|null)\b/gi, '?')
    .replace(/(^|[(,=<>[ ])- ?\?/g, '$1?');
  return createHash('sha256').update(alike).digest('hex').slice(0, 16);
}

/** A plan as EXPLAIN or auto_explain gives it in JSON, without the statement and without values. */
export function planWithoutLiterals(plan: unknown): unknown {
  if (typeof plan === 'string') return withoutLiterals(plan);
  if (Array.isArray(plan)) return plan.map(planWithoutLiterals);
  if (typeof plan !== 'object' || plan === null) return plan;
  return Object.fromEntries(
    Object.entries(plan)
      .filter(([name]) => name !== 'Query Text' && name !== 'Query Parameters')
      .map(([name, part]) => [name, planWithoutLiterals(part)]),
  );
}
