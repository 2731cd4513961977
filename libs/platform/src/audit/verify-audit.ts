import type { DatabaseTarget } from '../persistence/connection';
import { SealedLog } from './sealed-log';
import { Verification, type VerificationOptions, type VerificationResult } from './verification';

/** Compares the audit log with its seals. Needs a login that may act as studently_worker, and changes nothing. */
export async function verifyAudit(target: DatabaseTarget, options: VerificationOptions): Promise<VerificationResult> {
  const log = await SealedLog.open(target);
  try {
    return await new Verification(log, options).run();
  } finally {
    await log.close();
  }
}
