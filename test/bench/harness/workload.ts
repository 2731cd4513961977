import type { BenchContext } from './context';
import type { Machine } from './machine';

/** One thing that is promised about a workload. */
export interface Check {
  name: string;
  value: number;
  unit: string;
  /** What the same run measured for the limit; absent where the goal is absolute. */
  limit?: number;
  ratio?: number;
  goal: string;
  met: boolean;
}

/** What was measured where something is `x` large; of the platform and of the limit, in the same unit. */
export interface CurvePoint {
  x: number;
  platform: number;
  limit: number;
}

export interface Curve {
  title: string;
  points: CurvePoint[];
}

/** What one workload measured: the first check's figures, and all of them. */
export interface Result {
  workload: string;
  value: number;
  limit: number | null;
  ratio: number | null;
  unit: string;
  /** CPU time of the API process for one request, user and system, all threads. */
  cpuMicros: number | null;
  goal: string;
  met: boolean;
  checks: Check[];
  /** Further figures that help to read the others. */
  details: Record<string, number>;
  notes: string[];
  /** Of the machine over one minute, before the workload began. */
  loadAverage: number;
  runs: number;
  seconds: number;
  /** What one run is, where it is no time. */
  perRun?: string;
  curve?: Curve;
}

/** A result with the machine that it holds for. */
export type Saved = Result & { machine: Machine };

/** What a file `<name>.bench.ts` exports. */
export interface Workload {
  name: string;
  goal: string;
  run: (context: BenchContext) => Promise<Measured>;
}

export interface Measured {
  checks: [Check, ...Check[]];
  cpuMicros?: number;
  details?: Record<string, number>;
  /** What one run is, where it does not take a given time. */
  perRun?: string;
  /** For the report: what a reader should know beside the checks. */
  notes?: string[];
  /** Is drawn. */
  curve?: Curve;
}

/** A throughput against its limit. */
export function atLeast(name: string, value: number, limit: number, unit: string, goal: number): Check {
  const ratio = value / limit;
  return { name, value, unit, limit, ratio, goal: `≥ ${goal}×`, met: ratio >= goal };
}

/** A time that must not be longer. `limit`: what the limit itself took, for comparison. */
export function atMost(name: string, value: number, unit: string, goal: number, limit?: number): Check {
  return { name, value, unit, limit, goal: `≤ ${goal} ${unit}`, met: value <= goal };
}
