#!/usr/bin/env node
import '../../compile-cache';
import { BackupFault, ConfigurationError } from '@studently/platform';
import { Command, CommanderError } from 'commander';
import { addAudit } from './audit';
import { addBackup } from './backup';
import { addCache } from './cache';
import { addConfig } from './config';
import { addDoctor } from './doctor';
import { addEmbeddings } from './embeddings';
import { addImport } from './import';
import { addJobs } from './jobs';
import { addKeys } from './keys';
import { addMaint } from './maint';
import { addMigrate } from './migrate';
import { addReplication } from './replication';
import { addSlow } from './slow';
import { addStatus } from './status';
import { addTune } from './tune';

const EXIT_FAULT = 1;
const EXIT_USAGE = 64; // EX_USAGE of sysexits.h

const program = new Command('studently')
  .description('Runs and looks after the StudentlyAI data platform.')
  .configureHelp({ showGlobalOptions: true })
  .option('--json', 'answer for machines: one JSON object')
  .addHelpText(
    'after',
    '\nThe database is that of DATABASE_URL, else the embedded one in STUDENTLY_DATA_DIR (.studently), also while it runs.' +
      '\nExit codes: 0 ok, 1 fault, 2 findings, 64 usage, 78 configuration, 130 interrupted.',
  )
  .exitOverride()
  .showHelpAfterError('(--help shows what there is)');
addAudit(program);
addBackup(program);
addCache(program);
addConfig(program);
addDoctor(program);
addEmbeddings(program);
addImport(program);
addJobs(program);
addKeys(program);
addMaint(program);
addMigrate(program);
addReplication(program);
addSlow(program);
addStatus(program);
addTune(program);
// Subcommands do not inherit it.
const withThoseBelow = (command: Command): Command[] => [command, ...command.commands.flatMap(withThoseBelow)];
for (const command of withThoseBelow(program)) command.exitOverride();

program.parseAsync().catch((error: unknown) => {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
  else if (error instanceof ConfigurationError || error instanceof BackupFault) {
    process.stderr.write(`${error.code}: ${error.message}\n`);
    process.exitCode = error.exitCode;
  } else {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode ??= EXIT_FAULT; // who was interrupted has said so
  }
});
