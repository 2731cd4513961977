const UUID = '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}';

/** Every shape of key that may be in Redis, and the seconds that it may live at most (docs/adr/0025). */
const ALLOWED: [shape: RegExp, seconds: number][] = [
  [new RegExp(`^session:${UUID}$`), 86_400],
  [new RegExp(`^cache:\\{u:${UUID}\\}:.+$`), 1800],
  [/^cache:\{u:test\}:/, 1800], // of the test of the stores, which may run beside
  [/^\{jobs\}:/, Infinity], // BullMQ's own: some have no end
  [/^ratelimit:\{g:[0-9a-f]{32}\}:(guess|account)$/, 60],
  [new RegExp(`^ratelimit:\\{([us]:${UUID}|a:[0-9a-f.:/]+)\\}:(default|auth)$`), 60],
];

const GONE = -2;

/** @param ttl in seconds, as Redis says it; @returns what is wrong with the key, or undefined */
export function faultOfKey(key: string, ttl: number): string | undefined {
  if (ttl === GONE) return undefined; // it has ended since it was seen
  const [, longest] = ALLOWED.find(([shape]) => shape.test(key)) ?? [];
  if (longest === undefined) return `${key} has a shape that nobody knows`;
  return longest < Infinity && (ttl < 0 || ttl > longest) ? `${key} ends in ${ttl} s` : undefined;
}
