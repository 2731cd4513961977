const FAULT = 1;
const USAGE = 64; // EX_USAGE of sysexits.h

interface Program<Options extends { help: boolean }> {
  help: string;
  /** @throws with what is wrong with them */
  readOptions(): Options;
  /** @returns the exit code */
  run(options: Options): Promise<number>;
  /** Takes down what runs: it is asked to end. */
  close(): Promise<void> | undefined;
}

/** A program on the command line: exits with 64 and the help for words that it does not know, and leaves nothing running. */
export async function runProgram<Options extends { help: boolean }>(program: Program<Options>): Promise<void> {
  let interrupted = false;
  for (const [signal, number] of Object.entries({ SIGHUP: 1, SIGINT: 2, SIGTERM: 15 })) {
    process.on(signal, () => {
      interrupted = true;
      void Promise.resolve(program.close()).then(() => process.exit(128 + number));
    });
  }
  let options: Options;
  try {
    options = program.readOptions();
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${program.help}`);
    process.exitCode = USAGE;
    return;
  }
  if (options.help) {
    process.stdout.write(program.help);
    return;
  }
  try {
    process.exitCode = await program.run(options);
  } catch (error) {
    if (interrupted) return; // what is being ended complains
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    process.exitCode = FAULT;
  }
}

/** The value of an option. @throws if it is none */
export function wholeNumber(name: string, value: string, min: number, max: number): number {
  const number = Number(value);
  if (Number.isInteger(number) && number >= min && number <= max) return number;
  throw new TypeError(`--${name} takes a whole number from ${min} to ${max}`);
}
