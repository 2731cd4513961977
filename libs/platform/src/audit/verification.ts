import type { KeyObject } from 'node:crypto';
import { isNoAnchor, readAnchors, type NoAnchor } from './anchors';
import { genesisOf, headOf, isSigned, leafOf, statementOf, type Anchor, type Batch } from './batch';
import { keyIdOf } from './signing-key';
import { SealedLog, type SealedRow } from './sealed-log';
import { Findings, type Finding } from './findings';

export interface VerificationOptions {
  /** Of batches sealed since then, until then. */
  from?: Date;
  to?: Date;
  /** Files of anchors, from every place that has sealed. */
  anchorFiles: readonly string[];
  /** Who may have signed. */
  publicKeys: readonly KeyObject[];
  progress?: (events: number, of: number) => void;
}

export interface VerificationResult {
  log: string;
  batches: number;
  events: number;
  anchors: number;
  /** The first of them, rows before batches; `found` counts all. */
  findings: Finding[];
  found: number;
}

/** Compares the log with its chain, and the chain with its anchors. Memory does not grow with the log. */
export class Verification {
  private readonly findings = new Findings();
  private readonly keys: Map<string, KeyObject>;
  private batches = 0;
  private events = 0;
  private anchors = 0;
  /** Batches of other logs that our keys have signed, by the log. */
  private readonly others = new Map<string, number>();
  private previous?: { seq: bigint; head: Buffer };

  constructor(
    private readonly log: SealedLog,
    private readonly options: VerificationOptions,
  ) {
    this.keys = new Map(options.publicKeys.map((key) => [keyIdOf(key), key]));
  }

  async run(): Promise<VerificationResult> {
    const { from, to, anchorFiles, progress } = this.options;
    const extent = await this.log.extent(from, to);
    const anchors = anchorFiles.map((file) => this.ownAnchors(file));
    const waiting = await Promise.all(anchors.map((each) => each.next()));
    for await (const { batches, rows } of this.log.pages(extent)) {
      let at = 0;
      for (const batch of batches) {
        const begin = at;
        while (at < rows.length && !isAfter(rows[at]!, batch)) at += 1;
        this.checkBatch(batch, extent.before);
        this.checkRows(batch, rows.slice(begin, at));
        for (const [index, file] of anchors.entries()) {
          while (!waiting[index]!.done && isUpTo(waiting[index]!.value, batch.seq)) {
            await this.checkAnchor(waiting[index]!.value, batch, extent.first);
            waiting[index] = await file.next();
          }
        }
      }
      progress?.(this.events, extent.events);
    }
    if (to === undefined) await this.checkTail(anchors, waiting, extent.first);
    return {
      log: this.log.id,
      batches: this.batches,
      events: this.events,
      anchors: this.anchors,
      ...this.findings.result(),
    };
  }

  /** Those of this log, and lines that are none. */
  private async *ownAnchors(file: string): AsyncGenerator<Anchor | NoAnchor> {
    for await (const anchor of readAnchors(file)) {
      if (isNoAnchor(anchor) || anchor.log === this.log.id) yield anchor;
      else if (this.isAuthentic(anchor)) this.others.set(anchor.log, (this.others.get(anchor.log) ?? 0) + 1);
    }
  }

  /** A batch in itself, and that it follows the one before. */
  private checkBatch(batch: Batch, before: Batch | undefined): void {
    this.batches += 1;
    this.events += batch.events;
    const first = { seq: BigInt(before?.seq ?? 0), head: before?.head ?? genesisOf(this.log.id) };
    const previous = this.previous ?? first;
    const seq = BigInt(batch.seq);
    if (seq !== previous.seq + 1n) {
      this.findings.add({
        kind: 'batch-missing',
        batch: range(previous.seq + 1n, seq - 1n),
        detail: 'removed from audit_batches',
      });
    } else if (!batch.previous.equals(previous.head)) {
      this.findings.add({ kind: 'batch-edited', batch: batch.seq, detail: 'does not follow the batch before it' });
    }
    const fault = this.faultOf(batch);
    if (fault)
      this.findings.add({
        kind: 'batch-edited',
        batch: batch.seq,
        ids: rangesText(this.statementOf(batch).ids),
        detail: fault,
      });
    this.previous = { seq, head: batch.head };
  }

  private faultOf(batch: Batch): string | undefined {
    const { ids, leaves, events } = batch;
    if (ids.length !== events || leaves.length !== 32 * events) return 'holds another number of events than it says';
    if (!headOf(batch.previous, batch.seq, ids, leaves).equals(batch.head)) return 'its list of events was changed';
    const key = this.keys.get(batch.key_id);
    if (!key) return `signed by the key ${batch.key_id}, which is not among the public keys given`;
    return isSigned(this.statementOf(batch), batch.signature, key) ? undefined : 'its signature is not valid';
  }

  private statementOf(batch: Batch) {
    return statementOf(this.log.id, batch);
  }

  /** Each event of the batch, in its place, with its content; and nothing else. */
  private checkRows(batch: Batch, rows: readonly SealedRow[]): void {
    const actual = new Map(rows.map((row) => [row.id, row]));
    const inPlace = rows.length === batch.ids.length;
    batch.ids.forEach((id, index) => {
      const expected = batch.leaves.subarray(32 * index, 32 * (index + 1));
      const row = inPlace && rows[index]!.id === id ? rows[index] : actual.get(id);
      if (!row) return this.findings.missing(id, batch.seq, expected);
      const leaf = leafOf(row.canonical);
      if (!leaf.equals(expected)) this.findings.differs(id, batch.seq, expected, leaf);
    });
    if (inPlace && rows.every((row, index) => row.id === batch.ids[index])) return;
    const known = new Set(batch.ids);
    for (const row of rows) if (!known.has(row.id)) this.findings.extra(row.id, batch.seq, leafOf(row.canonical));
  }

  private async checkAnchor(anchor: Anchor | NoAnchor, batch: Batch, first: bigint): Promise<void> {
    if (isNoAnchor(anchor)) {
      this.findings.add({ kind: 'anchor-broken', detail: `${anchor.file}, line ${anchor.line} is no anchor` });
      return;
    }
    if (BigInt(anchor.seq) < first) return;
    this.anchors += 1;
    if (!this.isAuthentic(anchor)) {
      this.findings.add({ kind: 'anchor-broken', batch: anchor.seq, detail: 'the signature of an anchor is not valid' });
      return;
    }
    // An anchor that comes late is of a batch that was sealed twice: somebody had removed the first.
    const head = anchor.seq === batch.seq ? batch.head : await this.log.headOf(anchor.seq);
    if (head?.toString('hex') === anchor.head) return;
    const detail = head ? 'an anchor tells another batch: this one was put in its place' : 'known by its anchor, and gone';
    this.findings.add({
      kind: head ? 'batch-replaced' : 'batch-missing',
      batch: anchor.seq,
      ids: rangesText(anchor.ids),
      detail,
    });
  }

  /** What the anchors know beyond the end of the table was cut off. */
  private async checkTail(
    files: AsyncGenerator<Anchor | NoAnchor>[],
    waiting: IteratorResult<Anchor | NoAnchor>[],
    first: bigint,
  ): Promise<void> {
    const end = { seq: '0', head: Buffer.alloc(0) } as Batch; // no batch any more: each is asked for
    for (const [index, file] of files.entries()) {
      for (let next = waiting[index]!; !next.done; next = await file.next()) await this.checkAnchor(next.value, end, first);
    }
    // Who puts another id into audit_log has the chain begin anew, and nothing of it would show what was before.
    for (const [log, count] of this.others) {
      this.findings.add({
        kind: 'log-replaced',
        detail:
          `the anchors know ${count} batches of the log ${log}, signed by our key, and this one is ${this.log.id}. ` +
          `If they are another database's, give a file without them`,
      });
    }
    if (this.batches > 0 && this.anchors === 0) {
      this.findings.add({
        kind: 'anchors-missing',
        detail: 'no anchor of this log was found: whether its end was cut off cannot be told',
      });
    }
  }

  private isAuthentic({ signature, ...statement }: Anchor): boolean {
    const key = this.keys.get(statement.key);
    return key !== undefined && isSigned(statement, Buffer.from(signature, 'base64'), key);
  }
}

const isUpTo = (anchor: Anchor | NoAnchor, seq: string) => isNoAnchor(anchor) || BigInt(anchor.seq) <= BigInt(seq);

function isAfter(row: SealedRow, { last_xid, last_id }: Batch): boolean {
  if (row.xid === last_xid) return BigInt(row.id) > BigInt(last_id);
  return BigInt(row.xid) > BigInt(last_xid);
}

const range = (from: bigint, to: bigint) => (from === to ? String(from) : `${from}-${to}`);
const rangesText = (ranges: readonly (readonly [string, string])[]) =>
  ranges.map(([from, to]) => (from === to ? from : `${from}-${to}`)).join(',');
