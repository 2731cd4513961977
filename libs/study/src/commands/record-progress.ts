import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { IdTaken, UnitOfWork, type Learner, type Written } from '@studently/platform';
import { Progress, type NewProgress } from '../domain/progress.entity';
import { progressModel, type ProgressView } from '../queries/progress.read-model';
import { ProgressRecorded } from '../study.events';

/** Records a score. Recording the same one twice is once, also when its time is long gone. */
export class RecordProgress extends Command<Written<ProgressView>> {
  constructor(
    readonly actor: Learner,
    readonly entry: NewProgress,
    readonly now = new Date(),
  ) {
    super();
  }
}

@CommandHandler(RecordProgress)
export class RecordProgressHandler implements ICommandHandler<RecordProgress> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, entry, now }: RecordProgress): Promise<Written<ProgressView>> {
    return this.unitOfWork.run<ProgressView>(actor, async (tx) => {
      const existing = await tx.em.findOne(Progress, { userId: actor.userId, id: entry.id });
      if (existing) {
        if (!existing.isSame(entry)) throw new IdTaken();
        tx.existed();
      } else {
        tx.em.persist(Progress.record(actor.userId, entry, now));
        tx.record(new ProgressRecorded(actor.userId, entry.id));
      }
      return tx.view(progressModel, actor.userId, { progressId: entry.id });
    });
  }
}
