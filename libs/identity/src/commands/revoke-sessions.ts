import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { UnitOfWork, type Learner, type Written } from '@studently/platform';
import { SessionsRevoked } from '../identity.events';
import { endSessions } from './locking';

/** Logout: of the session that asks, or everywhere. */
export class RevokeSessions extends Command<Written<void>> {
  constructor(
    readonly actor: Learner,
    readonly which: 'current' | 'all',
  ) {
    super();
  }
}

@CommandHandler(RevokeSessions)
export class RevokeSessionsHandler implements ICommandHandler<RevokeSessions> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, which }: RevokeSessions): Promise<Written<void>> {
    return this.unitOfWork.run(actor, async (tx) => {
      const ended = await endSessions(tx, actor.userId, which === 'current' ? { only: actor.sessionId } : {});
      tx.record(new SessionsRevoked(actor.userId, [], ended));
    });
  }
}
