import { LockMode } from '@mikro-orm/core';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { expectVersion, NotFound, UnitOfWork, type Learner, type Transaction, type Written } from '@studently/platform';
import { Progress, type ProgressChanges } from '../domain/progress.entity';
import { progressModel, type ProgressView } from '../queries/progress.read-model';
import { ProgressChanged, ProgressDeleted } from '../study.events';

/** Corrects an entry; its time stays. */
export class ChangeProgress extends Command<Written<ProgressView>> {
  constructor(
    readonly actor: Learner,
    readonly progressId: string,
    readonly changes: ProgressChanges,
    readonly ifMatch?: string,
  ) {
    super();
  }
}

export class DeleteProgress extends Command<Written<void>> {
  constructor(
    readonly actor: Learner,
    readonly progressId: string,
    readonly ifMatch?: string,
  ) {
    super();
  }
}

@CommandHandler(ChangeProgress)
export class ChangeProgressHandler implements ICommandHandler<ChangeProgress> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, progressId, changes, ifMatch }: ChangeProgress): Promise<Written<ProgressView>> {
    return this.unitOfWork.run<ProgressView>(actor, async (tx) => {
      const entry = await lockProgress(tx, actor, progressId);
      expectVersion(entry, ifMatch);
      entry.change(changes);
      tx.record(new ProgressChanged(actor.userId, progressId, Object.keys(changes)));
      return tx.view(progressModel, actor.userId, { progressId });
    });
  }
}

@CommandHandler(DeleteProgress)
export class DeleteProgressHandler implements ICommandHandler<DeleteProgress> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, progressId, ifMatch }: DeleteProgress): Promise<Written<void>> {
    return this.unitOfWork.run(actor, async (tx) => {
      const entry = await lockProgress(tx, actor, progressId);
      expectVersion(entry, ifMatch);
      tx.em.remove(entry);
      tx.record(new ProgressDeleted(actor.userId, progressId));
    });
  }
}

async function lockProgress(tx: Transaction, { userId }: Learner, id: string): Promise<Progress> {
  const entry = await tx.em.findOne(Progress, { userId, id }, { lockMode: LockMode.PESSIMISTIC_WRITE });
  if (!entry) throw new NotFound('progress entry');
  return entry;
}
