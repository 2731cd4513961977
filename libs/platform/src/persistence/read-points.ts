/** How far the primary has got: whoever has replayed so much of that timeline sees all that was committed before it was asked. */
export interface ReadPoint {
  readonly lsn: string;
  readonly timeline: number;
}

/** A commit is acknowledged after its record is flushed (synchronous_commit = on). */
export const READ_POINT = 'select pg_current_wal_flush_lsn()::text as lsn, current_timeline() as timeline';

/**
 * Raft's read index for a primary and its standbys: a read may be answered by whoever has applied all that was committed when it came.
 * Reads that come while the primary is being asked share the next answer.
 * @see Ongaro, Consensus: Bridging Theory and Practice (2014), section 6.4, "Processing read-only queries more efficiently"
 */
export class ReadPoints {
  private asking?: Promise<ReadPoint>;
  private next?: Promise<ReadPoint>;

  constructor(private readonly ask: () => Promise<ReadPoint>) {}

  /** What is asked after the call, never before. @throws what asking throws */
  now(): Promise<ReadPoint> {
    if (!this.asking) return this.begin();
    this.next ??= this.asking.then(
      () => this.begin(),
      () => this.begin(),
    );
    return this.next;
  }

  private begin(): Promise<ReadPoint> {
    this.next = undefined;
    const asking = this.ask().finally(() => {
      if (this.asking === asking) this.asking = undefined;
    });
    this.asking = asking;
    return asking;
  }
}
