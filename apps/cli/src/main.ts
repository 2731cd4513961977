#!/usr/bin/env node
import { BackupFault, ConfigurationError } from '@studently/platform';
import { CommanderError } from 'commander';
import { newProgram } from './program';

const EXIT_FAULT = 1;
const EXIT_USAGE = 64; // EX_USAGE of sysexits.h

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
