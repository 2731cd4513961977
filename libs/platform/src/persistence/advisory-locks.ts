/**
 * All of a database are told apart by their numbers alone, which stay the same from release to release: one process at a time does each of these.
 * @see https://www.postgresql.org/docs/15/explicit-locking.html#ADVISORY-LOCKS
 */
export const ADVISORY_LOCKS = {
  migrations: 7_382_910,
  /** `prepare_audit_months` (0010_audit_chain) */
  auditMonths: 7_382_911,
  auditSealing: 7_382_912,
  keys: 7_382_913,
  maintenance: 7_382_914,
} as const;
