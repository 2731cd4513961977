import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { IdTaken, NotFound, UnitOfWork, View, type Learner, type Transaction, type Written } from '@studently/platform';
import { GrantExists, NotATeacher } from '../domain/identity.errors';
import type { GrantScope } from '../domain/scopes';
import { GrantGiven, GrantWithdrawn } from '../identity.events';
import { GRANTS, type GrantView } from '../queries/grants';

/** The learner lets a teacher read some of what is the learner's. */
export class GiveGrant extends Command<Written<GrantView>> {
  constructor(
    readonly actor: Learner,
    readonly grant: { id: string; teacherId: string; scopes: GrantScope[] },
  ) {
    super();
  }
}

/** From the commit on the teacher sees nothing of it. */
export class WithdrawGrant extends Command<Written<void>> {
  constructor(
    readonly actor: Learner,
    readonly grantId: string,
  ) {
    super();
  }
}

@CommandHandler(GiveGrant)
export class GiveGrantHandler implements ICommandHandler<GiveGrant> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, grant: { id, teacherId, scopes } }: GiveGrant): Promise<Written<GrantView>> {
    const wanted = [...new Set(scopes)].sort();
    return this.unitOfWork.run<GrantView>(actor, async (tx) => {
      const sameAs = (existing: GrantView) => {
        if (existing.teacherId !== teacherId || existing.scopes.join() !== wanted.join()) throw new IdTaken();
        tx.existed();
        return View.of(existing);
      };
      const existing = await this.find(tx, id);
      if (existing) return sameAs(existing);
      const [known] = await tx.query<{ isTeacher: boolean }>('select is_teacher($1) as "isTeacher"', [teacherId]);
      if (!known?.isTeacher || teacherId === actor.userId) throw new NotATeacher();
      const made = await tx.query(
        `insert into grants (user_id, id, teacher_id, scopes) values ($1, $2, $3, $4)
         on conflict on constraint grants_one_per_teacher do nothing returning id`,
        [actor.userId, id, teacherId, wanted],
      );
      if (made.length === 0) {
        const faster = await this.find(tx, id); // the same request may have come twice at once
        if (faster) return sameAs(faster);
        throw new GrantExists();
      }
      tx.record(new GrantGiven(actor.userId, id));
      return View.of((await this.find(tx, id))!);
    });
  }

  private async find(tx: Transaction, id: string): Promise<GrantView | undefined> {
    return (await tx.query<GrantView>(`${GRANTS} where g.user_id = $1 and g.id = $2`, [tx.actor.userId, id]))[0];
  }
}

@CommandHandler(WithdrawGrant)
export class WithdrawGrantHandler implements ICommandHandler<WithdrawGrant> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, grantId }: WithdrawGrant): Promise<Written<void>> {
    return this.unitOfWork.run(actor, async (tx) => {
      const sql = 'delete from grants where user_id = $1 and id = $2 returning id';
      if ((await tx.query(sql, [actor.userId, grantId])).length === 0) throw new NotFound('grant');
      tx.record(new GrantWithdrawn(actor.userId, grantId));
    });
  }
}
