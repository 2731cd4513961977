import { setTimeout as sleep } from 'node:timers/promises';
import type { HttpClient } from '../../support/http';
import type { TortureContext } from '../harness/torture';
import { failedInPeace, faultsOf, outageOf } from './ledger';
import type { Traffic } from './traffic';

export interface Stage {
  context: TortureContext;
  http: HttpClient;
  traffic: Traffic;
}

/** What happens to a server amid the traffic. */
export interface Trouble {
  readonly name: string;
  readonly figure: string;
  /** For so many ms it may be felt: afterwards all is done. */
  readonly boundMs: number;
}

/** Each as often as any other, in an order of chance. */
export function planOf<Of>(context: TortureContext, kinds: readonly Of[]): Of[] {
  const planned: Of[] = [];
  for (let waiting = [...kinds]; planned.length < context.ops; waiting = waiting.length > 0 ? waiting : [...kinds]) {
    planned.push(...waiting.splice(context.below(waiting.length), 1));
  }
  return planned;
}

/** @param happen until all servers are well again @returns for how many ms no write was acknowledged, at the longest */
export async function suffer(stage: Stage, { name, boundMs }: Trouble, happen: () => Promise<unknown>): Promise<number> {
  const { context, http, traffic } = stage;
  const at = performance.now();
  await happen();
  await sleep(1000);

  const requests = traffic.take();
  const outage = outageOf(requests, at);
  context.attempt(outage <= boundMs, () => `${name}: for ${Math.round(outage)} ms no write was possible`);
  for (const { what, is, sent } of failedInPeace(requests, at, boundMs)) {
    context.attempt(false, () => `${name}: ${what}, sent ${Math.round(sent - at)} ms after it, was answered by ${is}`);
  }
  const { status, body } = await http.get('/health/ready');
  context.attempt(status === 200 && body.status === 'ok', () => `${name}: afterwards readiness says ${JSON.stringify(body)}`);
  return outage;
}

/**
 * What learners were told is there, once; and each message has its row in the audit log.
 * @param count what a `select count(*)` says on the primary, to a superuser
 */
export async function judge({ context, traffic }: Stage, count: (text: string) => Promise<number>): Promise<void> {
  let messages = 0;
  for await (const { asked, kept } of traffic.kept()) {
    context.attempted += asked.length;
    messages += kept.length;
    for (const fault of faultsOf(asked, kept)) context.attempt(false, () => fault);
  }
  const learners = traffic.learners.map((id) => `'${id}'`).join();
  const events = await count(
    `select count(*) from audit_events where learner_id in (${learners}) and action = 'chat.message-appended'`,
  );
  context.attempt(messages === events, () => `${messages} messages, and ${events} of them in the audit log`);
}
