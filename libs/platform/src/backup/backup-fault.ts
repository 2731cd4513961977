/** What may go wrong with a backup, each with the exit code that scripts tell it by. The handbook lists them. */
const EXIT_CODES = {
  BACKUP_FAILED: 1,
  BACKUP_POINT_UNREACHABLE: 20,
  BACKUP_KEY_WRONG: 21,
  BACKUP_WAL_MISSING: 22,
  BACKUP_WAL_DAMAGED: 23,
  BACKUP_DAMAGED: 24,
  BACKUP_DISK_FULL: 25,
  BACKUP_TARGET_NOT_EMPTY: 26,
  BACKUP_NONE: 27,
  BACKUP_BUSY: 28,
  BACKUP_INTERRUPTED: 130,
} as const;

export type BackupFaultCode = keyof typeof EXIT_CODES;

/** A backup cannot be made, read or restored. The message says what to do; it holds no data and no secret. */
export class BackupFault extends Error {
  readonly exitCode: number;
  constructor(
    readonly code: BackupFaultCode,
    message: string,
  ) {
    super(message);
    this.name = 'BackupFault';
    this.exitCode = EXIT_CODES[code];
  }
}
