/** Learners whom nobody measures but whose rows are there, written by SQL: the id of the one with the number `learner`. */
export const OTHER_LEARNER = `lpad(to_hex(learner), 32, '0')::uuid`;

/** $1 of them. */
export const OTHER_LEARNERS = `
  insert into users (id, email, password_hash)
  select ${OTHER_LEARNER}, 'learner' || learner || '@example.org', '$argon2id$none' from generate_series(1, $1) learner`;

/** For rows by the hundred thousand: foreign keys are not looked up for each. */
export const WITHOUT_FOREIGN_KEYS = 'set session_replication_role = replica';
