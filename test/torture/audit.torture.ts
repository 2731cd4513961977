import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { Registry } from 'prom-client';
import { AuditKeys, loadSettings, verifyAudit, type Finding, type Settings } from '@studently/platform';
import { DATABASE, startServers } from '../support/platform';
import { withClient } from '../support/servers';
import { sealerOn } from './audit/sealing';
import { TAMPERINGS } from './audit/tamperings';
import type { TortureContext } from './harness/torture';

export const promise = 'Whatever a superuser edits, deletes, moves or cuts off of the sealed audit log is found and named.';
export const ops = 1000;
export const shortOps = 12;

const ROUND = 25;
/** The log that is verified as a whole, for the time it takes. */
const FULL_ROWS = 1_000_000;
const SHORT_ROWS = 3000;
/** Those that are tampered with are verified again and again. */
const SMALL_ROWS = 1200;

const FILL = `
  insert into audit_events (actor_id, actor_role, learner_id, action, subject_id, changed_fields, request_id, changes)
  select l, 'STUDENT', l, (array['chat.message-appended', 'study-item.reviewed', 'chat.changed'])[1 + n % 3], uuid_generate_v4()::text,
         array['title'], 'request-' || n, jsonb_build_object('Chat.title', jsonb_build_array(md5(n::text), md5(l::text)))
  from (select n, md5((n % 500)::text)::uuid as l from generate_series($1::int, $2::int) n) x`;

/** Seals a log, then again and again changes some of it as a superuser, verifies, and puts it back. */
export async function run(context: TortureContext): Promise<Record<string, number>> {
  const { postgres, settings } = await startServers(context);
  const admin = postgres.url(DATABASE);
  const configuration = loadSettings({ ...settings, STUDENTLY_DATA_DIR: join(context.folder, 'data') });
  const target = { url: settings['DATABASE_URL']!, embedded: false };
  const sealer = await context.use(
    () => sealerOn(target, configuration, new Registry()),
    (each) => each.close(),
  );
  const publicKeys = [new AuditKeys(configuration).public];
  const verify = () => verifyAudit(target, { anchorFiles: [anchorsOf(configuration)], publicKeys });

  await withClient(admin, (client) => fill(client, 1, SMALL_ROWS, sealer.seal));
  await withClient(admin, async (client) => {
    await client.query('create table kept_events as table audit_events; create table kept_batches as table audit_batches');
    for (let done = 0; done < context.ops; done += 1) {
      const tampering = context.pick(TAMPERINGS);
      const named = await tampering.apply(client, context);
      const { findings } = await verify();
      context.attempt(
        named.every((row) => isNamed(row, findings)),
        () => `${tampering.name} of ${named.join(', ')}: ${JSON.stringify(findings.slice(0, 5))}`,
      );
      await restore(client);
      if (done % ROUND === 0) context.progress(`${done} of ${context.ops}`);
    }
  });
  const { found } = await verify();
  context.attempt(found === 0, () => `${found} findings in a log that is as it was`);

  const rows = context.ops >= ops ? FULL_ROWS : SHORT_ROWS;
  context.progress(`sealing ${rows} rows`);
  const sealing = await withClient(admin, (client) => fill(client, SMALL_ROWS + 1, rows, sealer.seal));
  const started = performance.now();
  const whole = await verify();
  const seconds = (performance.now() - started) / 1000;
  context.attempt(
    whole.found === 0 && whole.events === rows,
    () => `${whole.events} of ${rows} verified, ${whole.found} findings`,
  );
  return {
    verifiedRows: whole.events,
    batches: whole.batches,
    verifySeconds: seconds,
    sealSeconds: sealing,
    secondsPerMillion: (seconds / rows) * 1e6,
  };
}

const anchorsOf = ({ STUDENTLY_DATA_DIR }: Settings) => join(STUDENTLY_DATA_DIR, 'audit-anchors.jsonl');

/** In transactions of many sizes, sealed after each. @returns the seconds of sealing */
async function fill(client: Client, from: number, to: number, seal: () => Promise<number>): Promise<number> {
  let seconds = 0;
  const step = Math.max(50, Math.ceil((to - from) / 40));
  for (let first = from; first <= to; first += step) {
    await client.query(FILL, [first, Math.min(to, first + step - 1)]);
    const started = performance.now();
    await seal();
    seconds += (performance.now() - started) / 1000;
  }
  await untilSealed(client, to, seal);
  return seconds;
}

/** What another transaction still held up: a vacuum has an id, too. */
async function untilSealed(client: Client, events: number, seal: () => Promise<number>): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const { rows } = await client.query<{ events: number }>('select sum(events)::int as events from audit_batches');
    if (rows[0]!.events === events) return;
    if (attempt === 100) throw new Error(`${rows[0]!.events} of ${events} events are sealed`);
    await sleep(100);
    await seal();
  }
}

/** Row by row, or in the range of rows that a missing batch had. */
function isNamed(id: string, findings: readonly Finding[]): boolean {
  return findings.some((finding) => {
    if (finding.id !== undefined) return finding.id === id;
    return finding.ids?.split(',').some((range) => {
      const [from, to] = range.split('-').map(BigInt);
      return from! <= BigInt(id) && BigInt(id) <= (to ?? from!);
    });
  });
}

async function restore(client: Client): Promise<void> {
  await client.query(`
    begin;
    delete from audit_events a where not exists (select from kept_events k where k.id = a.id and k::text = a::text);
    insert into audit_events overriding system value select * from kept_events k where not exists (select from audit_events a where a.id = k.id);
    delete from audit_batches b where not exists (select from kept_batches k where k.seq = b.seq and k::text = b::text);
    insert into audit_batches select * from kept_batches k where not exists (select from audit_batches b where b.seq = k.seq);
    commit`);
}
