import { Injectable } from '@nestjs/common';
import { Database } from '../persistence/database';
import { whoActs, type Actor } from './actor';

/** One row for each learner who was read. */
const RECORD = `
  insert into audit_events (actor_id, actor_role, on_behalf_of, learner_id, action, subject_id, request_id, operation)
  select $1, $2, $3, learner, 'learner.read', learner::text, $4, $5 from unnest($6::uuid[]) learner`;

/** Writes down that somebody has read a learner who is not themselves. */
@Injectable()
export class ReadLog {
  constructor(private readonly database: Database) {}

  /** What cannot be recorded may not be read: the caller must answer nothing if this fails. @throws DatabaseUnavailable */
  async record(actor: Actor, operation: string, learnerIds: readonly string[]): Promise<void> {
    if (learnerIds.length === 0) return;
    await this.database.write(actor, RECORD, [...whoActs(actor), actor.requestId ?? null, operation, learnerIds]);
  }
}
