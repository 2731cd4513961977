/** How many requests of read models the processes have answered since they started, and how many of these from the cache. */
export async function cachedRequests(urls: string[]): Promise<{ hit: number; all: number }> {
  const sum = { hit: 0, all: 0 };
  for (const url of urls) {
    const text = await (await fetch(`${url}/metrics`)).text();
    for (const [, outcome, count] of text.matchAll(/^studently_cache_requests_total\{outcome="(\w+)"\} (\d+)/gm)) {
      sum.all += Number(count);
      if (outcome === 'hit') sum.hit += Number(count);
    }
  }
  return sum;
}

/** Draws ranks below `count`: the n-th most popular with a probability in proportion to 1/n, as of pages and words. */
export function zipf(count: number): () => number {
  let sum = 0;
  const upTo = Float64Array.from({ length: count }, (_, rank) => (sum += 1 / (rank + 1)));
  return () => {
    const drawn = Math.random() * sum;
    let [low, high] = [0, count - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (upTo[middle]! <= drawn) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}
