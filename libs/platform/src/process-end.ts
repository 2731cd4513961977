import { ConfigurationError } from './config/config';

/** The end of a process that cannot go on: what to mend for a person, and an exit code for whoever has started it. */
export function endBecauseOf(error: unknown): never {
  if (error instanceof ConfigurationError) {
    process.stderr.write(`${error.code}: ${error.message}\n`);
    process.exit(error.exitCode);
  }
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(1);
}
