import { closeSync, fstatSync, openSync, statSync, writeSync } from 'node:fs';
import { ConfigurationError } from '../config/config';

const LOOK_EVERY_MS = 1000;

/**
 * The file that log lines are appended to. Who rotates it renames it: within a second this process finds that its name leads
 * elsewhere, and goes on in a new file. Until then lines go into the renamed one, so that none is lost. Several processes may share it.
 * @throws ConfigurationError `LOG_FILE_UNUSABLE`
 */
export class LogFile {
  private descriptor: number;
  private hasFailed = false;

  constructor(private readonly path: string) {
    try {
      this.descriptor = this.open();
    } catch (error) {
      throw new ConfigurationError('LOG_FILE_UNUSABLE', `LOG_FILE cannot be written (${(error as Error).message}).`);
    }
    setInterval(() => this.follow(), LOOK_EVERY_MS).unref();
  }

  /** A line, at once: it is in the file when the next thing happens. A full disk ends no process; stderr says it once. */
  write(line: string): void {
    try {
      const bytes = Buffer.from(line);
      for (let written = 0; written < bytes.length;) written += writeSync(this.descriptor, bytes, written);
      this.hasFailed = false;
    } catch (error) {
      if (!this.hasFailed) process.stderr.write(`LOG_FILE cannot be written, lines are lost: ${(error as Error).message}\n`);
      this.hasFailed = true;
    }
  }

  private follow(): void {
    try {
      if (this.isWhereItWas()) return;
      const former = this.descriptor;
      this.descriptor = this.open();
      closeSync(former);
    } catch {
      // The old file is still there to be written; at the next look again.
    }
  }

  private isWhereItWas(): boolean {
    const [mine, named] = [fstatSync(this.descriptor), statSync(this.path, { throwIfNoEntry: false })];
    return named !== undefined && named.ino === mine.ino && named.dev === mine.dev;
  }

  private open(): number {
    return openSync(this.path, 'a', 0o600);
  }
}
