#!/usr/bin/env node
import { BackupFault, ConfigurationError } from '@studently/platform';
import { CommanderError } from 'commander';
import { newProgram } from './program';

const EXIT_FAULT = 1;
const EXIT_USAGE = 64; // EX_USAGE of sysexits.h
const EXIT_PIPE = 141; // 128 + SIGPIPE, as shells have it

/** Who reads has seen enough: `studently … | head`. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(EXIT_PIPE);
});

newProgram()
  .parseAsync()
  .catch((error: unknown) => {
    if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
    else if (error instanceof ConfigurationError || error instanceof BackupFault) {
      process.stderr.write(`${error.code}: ${error.message}\n`);
      process.exitCode = error.exitCode;
    } else {
      process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
      process.exitCode ??= EXIT_FAULT; // who was interrupted has said so
    }
  });
