import { setTimeout as sleep } from 'node:timers/promises';
import { AuditKeys, anchorFileOf, loadSettings, verifyAudit } from '@studently/platform';
import { sql } from '../../support/database';
import type { AuditEvent, Row } from './checker';
import { KINDS } from './kinds';

const ROWS = KINDS.map(({ name, rows }) => `select '${name}' as kind, of_kind.* from (${rows}) of_kind`).join(' union all ');
const EVENTS = 'select action, request_id as name, subject_id as subject from audit_events where action = any($1)';
/** What is still to be done, or has been given up, in words. */
const LEFT = `
  select 'outbox' as what, count(*)::int as count from outbox
  union all select 'jobs', count(*)::int from jobs
  union all select 'unsealed audit events', count(*)::int
    from audit_events a left join (select last_xid, last_id from audit_batches order by seq desc limit 1) sealed on true
    where sealed.last_id is null or (a.xid, a.id) > (sealed.last_xid, sealed.last_id)`;

/** After the last accident all that was left behind has to be done by then. */
const PATIENCE_MS = 120_000;

/** Waits until nothing is left to be done. @returns what is left all the same */
export async function leftUndone(adminUrl: string): Promise<string[]> {
  for (const end = Date.now() + PATIENCE_MS; ; await sleep(200)) {
    const rows = await sql<{ what: string; count: number }>(adminUrl, LEFT);
    const left = rows.filter(({ count }) => count > 0).map(({ what, count }) => `${count} ${what} are left`);
    if (left.length === 0 || Date.now() > end) return left;
  }
}

export async function written(adminUrl: string): Promise<{ rows: Row[]; events: AuditEvent[] }> {
  const rows = await sql<Row>(adminUrl, ROWS);
  const kindOf = new Map(KINDS.map(({ action, name }) => [action, name]));
  const events = await sql<AuditEvent & { action: string }>(adminUrl, EVENTS, [[...kindOf.keys()]]);
  return { rows, events: events.map(({ action, ...event }) => ({ ...event, kind: kindOf.get(action)! })) };
}

/** What is wrong with the sealed audit log, and how many events it has. */
export async function sealedLog(environment: NodeJS.ProcessEnv): Promise<{ faults: string[]; events: number }> {
  const settings = loadSettings(environment);
  const target = { url: settings.DATABASE_URL!, embedded: false };
  const publicKeys = [new AuditKeys(settings).public];
  const { findings, events } = await verifyAudit(target, { anchorFiles: [anchorFileOf(settings)], publicKeys });
  return { faults: findings.map((finding) => `the audit log: ${JSON.stringify(finding)}`), events };
}
