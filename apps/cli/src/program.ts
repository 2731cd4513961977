import { Command } from 'commander';
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

/** All commands, with their help. */
export function newProgram(): Command {
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
  for (const command of withThoseBelow(program)) command.exitOverride(); // it is not inherited
  return program;
}

/** The command itself, and all that are under it. */
export const withThoseBelow = (command: Command): Command[] => [command, ...command.commands.flatMap(withThoseBelow)];
