import type { Provider } from '@nestjs/common';
import type { Settings } from '../config/config';
import type { ProcessKind } from '../process-kind';
import { BullJobQueue } from './bull-job-queue';
import { JOB_QUEUE } from './job-queue';
import { JobsRedis, jobsUrlOf } from './jobs-redis';
import { MemoryJobQueue } from './memory-job-queue';

/** Who does everything hands over to itself; a command of the CLI leaves that to the processes that stay. */
export function jobQueueProvider(settings: Settings, kind: ProcessKind): Provider {
  const isShared = (kind === 'api' || kind === 'worker') && jobsUrlOf(settings) !== undefined;
  return {
    provide: JOB_QUEUE,
    useFactory: () => (isShared ? new BullJobQueue(new JobsRedis(settings)) : new MemoryJobQueue()),
  };
}
