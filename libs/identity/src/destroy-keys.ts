import { Injectable } from '@nestjs/common';
import { Database, LearnerKeys, type Job, type JobHandler } from '@studently/platform';

export const DESTROY_KEYS = 'destroy-keys';

/** After a learner is deleted: what is left of the learner in backups cannot be read any more. */
@Injectable()
export class DestroyKeys implements JobHandler {
  constructor(
    private readonly database: Database,
    private readonly keys: LearnerKeys,
  ) {}

  /** Somebody new may have the id by now. */
  async run({ subjectId: userId }: Job): Promise<void> {
    const [user] = await this.database.read({ userId, role: 'STUDENT' }, 'select id from users where id = $1', [userId]);
    if (!user) await this.keys.destroy(userId);
  }
}
