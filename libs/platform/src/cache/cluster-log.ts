import { Logger } from '@nestjs/common';
import type { Cluster } from 'ioredis';
import { addressOf } from './redis-cluster';

/** Says once of each node that it is lost, and once that it is back or that the cluster goes on without it. */
export function tellOfNodes(cluster: Cluster): void {
  const logger = new Logger('RedisCluster');
  const lost = new Set<string>();
  const lose = (address: string, error: Error) => {
    if (!lost.has(address)) logger.warn(`Redis ${address} is not reachable, everything goes on without it: ${error.message}`);
    lost.add(address);
  };
  cluster.on('error', () => undefined); // no node answers: each of them has told
  cluster.on('node error', (error: Error, address: string) => lose(address, error));
  cluster.on('refresh', () => {
    const nodes = new Map(cluster.nodes().map((node) => [addressOf(node), node]));
    for (const address of lost) {
      const node = nodes.get(address);
      if (node && node.status !== 'ready') continue;
      lost.delete(address);
      logger.log(node ? `Redis ${address} is back` : `The Redis Cluster goes on without ${address}`);
    }
  });
}
