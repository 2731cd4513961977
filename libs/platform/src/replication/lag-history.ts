/** So many places of the log are remembered; beyond that every second one of the older half goes. */
const MOST = 4096;

interface Place {
  lsn: bigint;
  /** In ms, of the clock that asks. */
  at: number;
}

/** Where the primary's log had come to, and when: so that how far a standby is behind can be told in seconds without asking the standby. */
export class LagHistory {
  private places: Place[] = [];

  /** @param lsn at which the primary writes now */
  record(lsn: bigint, at: number): void {
    const last = this.places.at(-1);
    if (last && lsn < last.lsn) this.places = []; // another server
    this.places.push({ lsn, at });
    if (this.places.length > MOST) this.places = this.places.filter((_, nr) => nr % 2 === 0 || nr > MOST / 2);
  }

  /**
   * How long ago the first of what is not replayed was written. Between two places it is taken to have been written evenly. Before the
   * first one nothing is known: then it is as long ago at least.
   */
  secondsBehind(replayed: bigint, now: number): number {
    const last = this.places.at(-1);
    if (!last || replayed >= last.lsn) return 0;
    const index = Math.max(
      0,
      this.places.findLastIndex(({ lsn }) => lsn <= replayed),
    );
    const [had, next] = [this.places[index]!, this.places[index + 1] ?? last];
    const share = next.lsn > had.lsn && replayed > had.lsn ? Number(replayed - had.lsn) / Number(next.lsn - had.lsn) : 0;
    return Math.max(0, (now - had.at - share * (next.at - had.at)) / 1000);
  }

  /** Nobody is further behind than that: what was before it is of no use any more. */
  forgetBefore(replayed: bigint): void {
    const next = this.places.findIndex(({ lsn }) => lsn > replayed);
    const had = (next === -1 ? this.places.length : next) - 1;
    if (had > 0) this.places.splice(0, had);
  }
}
