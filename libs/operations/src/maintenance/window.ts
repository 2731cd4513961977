const DAY_MINUTES = 24 * 60;
const MINUTE_MS = 60_000;

/**
 * When maintenance may run by itself: every day between two times in UTC, `02:00-04:30`. One that ends before it begins goes over midnight.
 * @returns undefined outside of it; within, when it began and how long it still lasts (ms)
 */
export function windowAt(window: string, now: Date): { since: Date; leftMs: number } | undefined {
  const [from, to] = window.split('-').map((time) => {
    const [hours, minutes] = time.split(':').map(Number);
    return hours! * 60 + minutes!;
  });
  const midnight = Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate());
  const length = (to! - from! + DAY_MINUTES) % DAY_MINUTES || DAY_MINUTES;
  for (const day of [0, -1]) {
    const since = midnight + (from! + day * DAY_MINUTES) * MINUTE_MS;
    const leftMs = since + length * MINUTE_MS - now.getTime();
    if (now.getTime() >= since && leftMs > 0) return { since: new Date(since), leftMs };
  }
  return undefined;
}
