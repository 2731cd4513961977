import { attack, AREAS, loadArea } from './harness/areas';
import { TortureContext } from './harness/torture';

/** Another one each day: a violation says which. */
const SEED = Math.floor(Date.now() / 86_400_000);

/**
 * Their short versions take minutes: in short they are integration/backup.int-spec, torture/migrations/releases.int-spec, and, without Docker,
 * deploy/compose.spec and the failover above.
 */
const ELSEWHERE = ['pitr', 'migrations', 'compose'];

describe('torture, in short', () => {
  it.each(AREAS.filter((area) => !ELSEWHERE.includes(area)))(
    '%s keeps its promise',
    async (area) => {
      const torture = await loadArea(area);
      const context = new TortureContext(torture.shortOps, SEED);
      const { violations, seed } = await attack(area, torture, context);
      expect({ violations, told: context.told, seed }).toEqual({ violations: 0, told: [], seed });
    },
    300_000,
  );
});
