import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A temporary folder and whatever is started: all of it is gone afterwards, however it ends. */
export class Workspace {
  private readonly stops: (() => Promise<unknown>)[] = [];
  private readonly outerFolder = process.env['TMPDIR'];
  private closing?: Promise<void>;
  /** Everything temporary is in here: what a server that dies early leaves behind goes with it. */
  readonly folder = mkdtempSync(join(tmpdir(), 'studently-'));

  constructor() {
    chmodSync(this.folder, 0o711); // PostgreSQL runs as another user and has to pass through
    process.env['TMPDIR'] = this.folder;
    process.env['TEST_DATA_DIR'] ??= join(this.folder, 'data');
  }

  /** Waits for something that starts; `stop` ends it when the workload is over, also if that is before it is there. */
  async use<T>(start: () => Promise<T>, stop: (started: T) => Promise<unknown>): Promise<T> {
    if (this.closing) throw new Error('The workspace is being closed.');
    const starting = start();
    this.stops.push(async () => {
      const started = await starting.catch(() => undefined);
      if (started !== undefined) await stop(started);
    });
    return starting;
  }

  /** Ends everything, the latest first. */
  close(): Promise<void> {
    this.closing ??= this.end();
    return this.closing;
  }

  private async end(): Promise<void> {
    for (const stop of this.stops.reverse()) {
      await stop().catch((error: unknown) => process.stderr.write(`Not ended cleanly: ${String(error)}\n`));
    }
    if (process.env['TEST_DATA_DIR']?.startsWith(this.folder)) delete process.env['TEST_DATA_DIR'];
    rmSync(this.folder, { recursive: true, force: true });
    if (this.outerFolder === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = this.outerFolder;
  }
}
