import { Workspace } from '../../support/workspace';
import type { CpuProfile } from './profile';

export interface BenchOptions {
  /** How often each contender is measured. */
  runs: number;
  /** How long each time. */
  seconds: number;
  progress(text: string): void;
  /** Whether the CPU profile of what is measured is wanted in place of figures. */
  profiling?: boolean;
}

/** What a workload runs in: how long, how often, and what has to be gone afterwards. */
export class BenchContext extends Workspace {
  /** Of the platform's process: load is put on it first. */
  profile?: CpuProfile;
  private profiled?: { pid: number; loads: number };

  constructor(private readonly options: BenchOptions) {
    super();
  }

  get runs(): number {
    return this.options.runs;
  }

  get seconds(): number {
    return this.options.seconds;
  }

  /** Whether the load that is about to be put on the process is the one to profile: the first after the warm-up. */
  isToProfile(pid: number): boolean {
    if (!this.options.profiling) return false;
    this.profiled ??= { pid, loads: 0 };
    return this.profiled.pid === pid && ++this.profiled.loads === 2;
  }

  progress(text: string): void {
    this.options.progress(text);
  }
}
