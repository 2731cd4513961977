import { createSecretKey, randomBytes } from 'node:crypto';
import { LearnerCipher } from '@studently/platform';

const key = () => createSecretKey(randomBytes(32));

/** A learner's keys that are kept nowhere: for tests of what is in memory only. */
export const newCipher = (userId: string): LearnerCipher =>
  new LearnerCipher(userId, { keys: new Map([[1, { key: key(), activeFrom: 0 }]]), index: key() });
