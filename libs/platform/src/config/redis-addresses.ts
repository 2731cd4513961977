/** The nodes that a REDIS_…URL names, by commas. A comma in a password is none of them, as no address follows it. */
export const redisNodes = (urls: string): URL[] => urls.split(/,(?=rediss?:\/\/)/).map((url) => new URL(url));

/** @returns what is wrong with the value of a REDIS_…URL, without showing it; undefined: nothing */
export function faultOfRedisAddresses(urls: string): string | undefined {
  if (!/^rediss?:\/\//.test(urls)) return 'must start with redis://';
  let nodes: URL[];
  try {
    nodes = redisNodes(urls);
  } catch {
    return 'must be redis://host:port, several nodes of a cluster by commas';
  }
  if (nodes.some(({ hostname }) => !hostname || hostname.includes(','))) return 'must say redis:// for each of its nodes';
  const login = ({ protocol, username, password }: URL) => [protocol, username, password].join(' ');
  // Nodes that are found later are entered in the same way.
  if (new Set(nodes.map(login)).size > 1) return 'must have the same scheme, user and password for each of its nodes';
  return undefined;
}

/** @returns why these addresses do not go with REDIS_MODE; undefined: they do */
export function faultOfRedisMode(urls: string, mode: unknown): string | undefined {
  if (faultOfRedisAddresses(urls)) return undefined; // which is told already
  const nodes = redisNodes(urls);
  if (mode !== 'cluster') return nodes.length > 1 ? 'names several nodes: that needs REDIS_MODE=cluster' : undefined;
  return nodes.some(({ pathname }) => !/^\/?0?$/.test(pathname))
    ? 'names a database by number: a cluster has only one'
    : undefined;
}
