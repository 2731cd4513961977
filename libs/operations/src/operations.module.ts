import { Module } from '@nestjs/common';
import { ScheduledMaintenance } from './maintenance/scheduled-maintenance';
import { StatementHistory } from './statements/statement-history';

/** What looks after the database by itself. */
@Module({ providers: [ScheduledMaintenance, StatementHistory] })
export class OperationsModule {}
