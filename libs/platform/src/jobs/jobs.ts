import { Injectable } from '@nestjs/common';
import type { DomainEvent, EventPayload, EventType } from '../events/domain-event';
import type { JobHandler } from './job';

interface Registered {
  handler: JobHandler;
  atOnce: number;
}

interface Cause {
  job: string;
  subjectsOf: (event: EventPayload) => readonly string[];
}

/** Left behind by one event: parallel lists. */
export interface LeftJobs {
  jobs: string[];
  subjects: string[];
}

const AT_ONCE = 20;

/** Of jobs that are short, so many are handed over as one. A process that takes those of long ones would keep them from others. */
const TOGETHER = 5;

/** Which events leave work behind, and who does it. Every process knows this, also those that only leave some. */
@Injectable()
export class Jobs {
  private readonly byName = new Map<string, Registered>();
  private readonly byTopic = new Map<string, Cause[]>();

  /** @param atOnce how many a process works on at the same time */
  register(job: string, handler: JobHandler, atOnce = AT_ONCE): void {
    this.byName.set(job, { handler, atOnce });
  }

  /** Whenever such an event is committed, a job for each subject is committed with it: each with its own attempts and its own end. */
  on<E extends DomainEvent>(
    type: EventType<E>,
    job: string,
    subjectsOf: (event: EventPayload<E>) => readonly string[] = ({ subjectId }) => [subjectId],
  ): void {
    const causes = this.byTopic.get(type.topic) ?? [];
    this.byTopic.set(type.topic, [...causes, { job, subjectsOf: subjectsOf as Cause['subjectsOf'] }]);
  }

  /** How many deliveries of this job travel as one; of one that this process does not know, each alone. */
  togetherOf(job: string): number {
    return (this.byName.get(job)?.atOnce ?? 1) < AT_ONCE ? 1 : TOGETHER;
  }

  get names(): string[] {
    return [...this.byName.keys()];
  }

  of(job: string): Registered {
    return this.byName.get(job)!;
  }

  leftBy(event: DomainEvent): LeftJobs {
    const left: LeftJobs = { jobs: [], subjects: [] };
    for (const { job, subjectsOf } of this.byTopic.get(event.topic) ?? []) {
      for (const subject of subjectsOf(event)) {
        left.jobs.push(job);
        left.subjects.push(subject);
      }
    }
    return left;
  }
}
