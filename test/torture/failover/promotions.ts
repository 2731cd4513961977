import type { PatroniCluster, PatroniNode } from '../../support/patroni';
import type { Trouble } from './suffering';

/** A way for a primary to be none any more. */
export interface Promotion extends Trouble {
  begin(cluster: PatroniCluster, primary: PatroniNode): Promise<void>;
  /** What was lost comes back. */
  end?(primary: PatroniNode): void;
}

/** docs/adr/0040-failover.md */
const CRASHED_MS = 10_000;
const LOST_MS = 30_000;

/** Over within seconds: nobody has to wait until the leader's key expires. */
export const QUICK: readonly Promotion[] = [
  {
    name: 'postmaster killed',
    figure: 'postmasterKilled',
    boundMs: CRASHED_MS,
    begin: async (_, primary) => primary.killPostgres(),
  },
  { name: 'switchover', figure: 'switchover', boundMs: CRASHED_MS, begin: (cluster) => cluster.switchover() },
];

export const PROMOTIONS: readonly Promotion[] = [
  ...QUICK,
  {
    name: 'node lost',
    figure: 'nodeLost',
    boundMs: LOST_MS,
    begin: (_, primary) => primary.kill(),
    end: (primary) => primary.start(),
  },
  /** Without a word: connections stay, and it comes back believing that it leads. */
  {
    name: 'node frozen',
    figure: 'nodeFrozen',
    boundMs: LOST_MS,
    begin: async (_, primary) => primary.freeze(),
    end: (primary) => primary.thaw(),
  },
];
