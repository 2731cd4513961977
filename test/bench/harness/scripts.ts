/** Parts of pgbench's scripts: what the API sends in every transaction. */

/**
 * Whom a transaction acts for. The three settings are one message of the API's; inside a pipeline pgbench sends them without
 * waiting for answers, too.
 */
export const actingFor = (userId: string) => `set local role studently_app;
set local app.user_id = '${userId}';
set local app.role = 'STUDENT';`;

/** The audit row and the outbox row of a command. `payload`: what the event has beside the ids, as for json_build_object. */
export const recorded = (
  userId: string,
  topic: string,
  subjectId: string,
  changed: string,
  payload: string,
) => `with audited as (
  insert into audit_events (actor_id, actor_role, learner_id, action, subject_id, changed_fields, request_id)
  values ('${userId}', 'STUDENT', '${userId}', '${topic}', '${subjectId}', '{${changed}}', gen_random_uuid()::text)
), queued as (
  insert into outbox (topic, learner_id, payload) values ('${topic}', '${userId}',
    json_build_object('learnerId', '${userId}', 'subjectId', '${subjectId}', 'changedFields', array['${changed}'], ${payload})::jsonb)
  returning id
)
select pg_current_xact_id()::text as xid, id from queued`;
