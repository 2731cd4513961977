export { rotateLogFile, rotatePostgresLogs, type LogsRotated } from './maintenance/logs';
export { partitions, type Partition, type PartitionsMaintained } from './maintenance/partitions';
export { reindex, type IndexMaintained } from './maintenance/reindex';
export { repack } from './maintenance/repack';
export type { Course } from './maintenance/steps';
export { analyze, vacuum, type TableMaintained } from './maintenance/vacuum';
export { OperationsModule } from './operations.module';
export { slowExecutions, statementTimes, type SlowExecution, type StatementTimes } from './statements/slow-report';
export { StatementHistory } from './statements/statement-history';
