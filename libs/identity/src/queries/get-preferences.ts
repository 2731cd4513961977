import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { Database, ReadModels, type Learner } from '@studently/platform';
import { userModel } from './user.read-model';

/** The preferences of the actor, or of the learner whom the actor reads; none without a profile. For contexts that go by one of them, such as the learner's time zone. */
export class GetPreferences extends Query<Record<string, unknown>> {
  constructor(
    readonly actor: Learner,
    readonly readToken?: string,
  ) {
    super();
  }
}

/** The same inside another context's statement, as SQL: jsonb of the learner in `parameter`; null without a profile. */
export const preferencesOf = (parameter: `$${number}`) => `(select preferences from profiles where user_id = ${parameter})`;

@QueryHandler(GetPreferences)
export class GetPreferencesHandler implements IQueryHandler<GetPreferences> {
  constructor(
    private readonly readModels: ReadModels,
    private readonly database: Database,
  ) {}

  /** From the whole user: that somebody has no profile is then cached as well. */
  async execute({ actor, readToken }: GetPreferences): Promise<Record<string, unknown>> {
    if (actor.learnerId !== undefined) return this.ofLearner(actor, actor.learnerId);
    const user = await this.readModels.get(userModel, actor, undefined, { readToken });
    return user?.value.profile?.preferences ?? {};
  }

  /** A teacher sees nothing else of a user. */
  private async ofLearner(teacher: Learner, learnerId: string): Promise<Record<string, unknown>> {
    const sql = `select ${preferencesOf('$1')} as preferences`;
    const [row] = await this.database.read<{ preferences: Record<string, unknown> | null }>(teacher, sql, [learnerId]);
    return row?.preferences ?? {};
  }
}
