import { setTimeout as sleep } from 'node:timers/promises';
import { ComposeProject } from '../support/compose';
import { HttpClient } from '../support/http';
import { judge, planOf, suffer, type Trouble } from './failover/suffering';
import { Traffic } from './failover/traffic';
import type { TortureContext } from './harness/torture';

export const promise =
  'docker-compose.yml with the profile ha, built and started as it is: whichever container behind the API is killed or frozen and comes back, no acknowledged ' +
  'write is lost and none is done twice, no read is older than its token, and the API answers by 503 with Retry-After at worst';
/** Containers that are lost. */
export const ops = 9;
export const shortOps = 1;

/** Away for so long, unless another has to take its place. */
const AWAY_MS = 5000;

interface Loss extends Trouble {
  /** Does it, and brings back what was lost. */
  happen(project: ComposeProject): Promise<void>;
}

const killed = (name: string, boundMs: number, serverOf: (project: ComposeProject) => string | Promise<string>): Loss => ({
  name: `${name} killed`,
  figure: `${name.replace(/[ -](.)/g, (_, letter: string) => letter.toUpperCase())}Killed`,
  boundMs,
  async happen(project) {
    await project.do('kill', await serverOf(project));
    await sleep(AWAY_MS);
  },
});

/** The bounds of docs/adr/0040-failover.md; what is lost alone is back after AWAY_MS and its start. */
const LOSSES: readonly Loss[] = [
  {
    name: 'primary killed',
    figure: 'primaryKilled',
    boundMs: 30_000,
    async happen(project) {
      const primary = await project.serverOf('Leader');
      await project.do('kill', primary);
      await project.until((members) => members.some(({ Member, Role }) => Role === 'Leader' && Member !== primary));
    },
  },
  {
    name: 'primary frozen',
    figure: 'primaryFrozen',
    boundMs: 30_000,
    async happen(project) {
      const primary = await project.serverOf('Leader');
      await project.do('pause', primary);
      await project.until((members) => members.some(({ Member, Role }) => Role === 'Leader' && Member !== primary));
      await project.do('unpause', primary);
    },
  },
  killed('synchronous standby', 10_000, (project) => project.serverOf('Sync Standby')),
  killed('haproxy', 15_000, () => 'haproxy'),
  killed('etcd', 15_000, () => 'etcd'),
  killed('redis', 2000, () => 'redis'),
  killed('redis-jobs', 2000, () => 'redis-jobs'),
  killed('worker', 2000, () => 'worker'),
  killed('postgres', 2000, () => 'postgres'), // which here has nothing to do
];

export async function run(context: TortureContext): Promise<Record<string, number>> {
  const losses = planOf(context, LOSSES);
  const begun = performance.now();
  const project = await ComposeProject.start(context, context.progress);
  const startSeconds = (performance.now() - begun) / 1000;
  const http = new HttpClient(project.url);
  const traffic = await context.use(
    () => Traffic.begin(context, http),
    (flowing) => flowing.stop(),
  );
  const slowest: Record<string, number> = {};
  for (const [index, loss] of losses.entries()) {
    const outage = await suffer({ context, http, traffic }, loss, async () => {
      await loss.happen(project);
      await project.untilWell();
    });
    const figure = `${loss.figure}Ms`;
    slowest[figure] = Math.max(slowest[figure] ?? 0, outage);
    context.progress(`${index + 1} of ${context.ops}: ${loss.name}, no write for ${Math.round(outage)} ms`);
  }
  await traffic.end();
  await judge({ context, http, traffic }, (text) => project.count(text));
  return { startSeconds, ...slowest, ...traffic.figures };
}
