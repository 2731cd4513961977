/** Something in the log that is not as it was sealed. */
export interface Finding {
  kind:
    | 'edited'
    | 'missing'
    | 'moved'
    | 'added'
    | 'batch-missing'
    | 'batch-edited'
    | 'batch-replaced'
    | 'log-replaced'
    | 'anchor-broken'
    | 'anchors-missing';
  /** The audit_events row. */
  id?: string;
  batch?: string;
  /** The rows of a batch that is not there to be compared: 17-20,22. */
  ids?: string;
  detail: string;
}

type RowFinding = Finding & { id: string; expected?: string; actual?: string };

/** So many are told; more of them are only counted. */
const MOST = 10_000;

/** Collects what was found, and tells at the end which of it belongs together: content that turns up elsewhere was moved. */
export class Findings {
  private readonly rows: RowFinding[] = [];
  private readonly others: Finding[] = [];
  private count = 0;

  add(finding: Finding): void {
    this.count += 1;
    if (this.others.length < MOST) this.others.push(finding);
  }

  missing(id: string, batch: string, expected: Buffer): void {
    this.addRow({ kind: 'missing', id, batch, expected: expected.toString('hex'), detail: 'deleted' });
  }

  differs(id: string, batch: string, expected: Buffer, actual: Buffer): void {
    const leaves = { expected: expected.toString('hex'), actual: actual.toString('hex') };
    this.addRow({ kind: 'edited', id, batch, ...leaves, detail: 'its content was changed' });
  }

  extra(id: string, batch: string, actual: Buffer): void {
    this.addRow({
      kind: 'added',
      id,
      batch,
      actual: actual.toString('hex'),
      detail: 'was not there when its place was sealed',
    });
  }

  result(): { findings: Finding[]; found: number } {
    const placeOf = new Map(this.rows.flatMap((row) => (row.expected ? [[row.expected, row.id] as const] : [])));
    const added = new Set(this.rows.filter((row) => row.kind === 'added').map((row) => row.id));
    const told = this.rows.map(({ expected: _, actual, ...finding }): Finding => {
      const from = actual && placeOf.get(actual);
      if (from !== undefined) return { ...finding, kind: 'moved', detail: `holds what belongs to ${from}` };
      if (finding.kind === 'missing' && added.has(finding.id))
        return { ...finding, kind: 'moved', detail: 'stands in another place' };
      return finding;
    });
    return { findings: [...told, ...this.others], found: this.count };
  }

  private addRow(finding: RowFinding): void {
    this.count += 1;
    if (this.rows.length < MOST) this.rows.push(finding);
  }
}
