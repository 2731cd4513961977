import { Workspace } from '../../support/workspace';
import { profileOf, type CpuProfile } from './profile';

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
  /** Of the platform's process. */
  profile?: CpuProfile;
  private loaded?: { name: string; loads: number };

  constructor(private readonly options: BenchOptions) {
    super();
  }

  get runs(): number {
    return this.options.runs;
  }

  get seconds(): number {
    return this.options.seconds;
  }

  /**
   * Puts a load on a process. If a profile is wanted, it is of the first load after the warm-up, of what was loaded first.
   * @param name the same for processes that take each other's place
   */
  async profiled<T>(pid: number, load: () => Promise<T>, name = `${pid}`): Promise<T> {
    if (!this.options.profiling || !this.isAfterWarmUp(name)) return load();
    const [result, profile] = await profileOf(pid, load);
    this.profile = profile;
    return result;
  }

  progress(text: string): void {
    this.options.progress(text);
  }

  private isAfterWarmUp(name: string): boolean {
    this.loaded ??= { name, loads: 0 };
    return this.loaded.name === name && ++this.loaded.loads === 2;
  }
}
