import type { Provider } from '@nestjs/common';
import type { Settings } from '../config/config';
import type { ProcessKind } from '../process-kind';
import { BullJobQueue } from './bull-job-queue';
import { JOB_QUEUE } from './job-queue';
import { Jobs } from './jobs';
import { JobsRedis, jobsUrlOf } from './jobs-redis';
import { MemoryJobQueue } from './memory-job-queue';

/** Who does everything hands over to itself; a command of the CLI leaves that to the processes that stay. */
export function jobQueueProvider(settings: Settings, kind: ProcessKind): Provider {
  const isShared = (kind === 'api' || kind === 'worker') && jobsUrlOf(settings) !== undefined;
  return {
    provide: JOB_QUEUE,
    inject: [Jobs],
    useFactory: (jobs: Jobs) =>
      isShared ? new BullJobQueue(new JobsRedis(settings), (job) => jobs.togetherOf(job)) : new MemoryJobQueue(),
  };
}
