import { findStale, type Operation, type Stale, type Trouble } from './checker';

/** What is judged again together with what comes after it. */
const OVERLAP_MS = 10_000;

/** Everything that was asked and answered, judged bit by bit: a million operations need not be kept. */
export class History {
  private operations: Operation[] = [];
  private troubles: Trouble[] = [];
  private readonly judged = new WeakSet<Operation>();

  record(operation: Operation): void {
    this.operations.push(operation);
  }

  /** A trouble begins. @returns what ends it */
  trouble(): () => void {
    const trouble = { from: performance.now(), until: Infinity };
    this.troubles.push(trouble);
    return () => (trouble.until = performance.now());
  }

  /** @returns the reads that have not been judged before, and the stale ones among them */
  judge(): { reads: number; stale: Stale[] } {
    const reads = this.operations.filter((operation) => operation.kind === 'read' && !this.judged.has(operation));
    const stale = findStale(this.operations, this.troubles).filter(({ read }) => !this.judged.has(read));
    for (const read of reads) this.judged.add(read);
    this.forget(performance.now() - OVERLAP_MS);
    return { reads: reads.length, stale };
  }

  /** Of what is long ago only the newest state of each thing matters. */
  private forget(before: number): void {
    const newest = new Map<string, Operation>();
    const recent: Operation[] = [];
    for (const operation of this.operations) {
      if (operation.answered >= before) recent.push(operation);
      else if (operation.level >= (newest.get(operation.thing)?.level ?? -Infinity)) newest.set(operation.thing, operation);
    }
    this.operations = [...newest.values(), ...recent];
    this.troubles = this.troubles.filter(({ until }) => until >= before - OVERLAP_MS);
  }
}
