import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { ReadModels, type Learner } from '@studently/platform';
import { userModel } from './user.read-model';

/** The actor's own preferences; none without a profile. For contexts that go by one of them, such as the learner's time zone. */
export class GetPreferences extends Query<Record<string, unknown>> {
  constructor(
    readonly actor: Learner,
    readonly readToken?: string,
  ) {
    super();
  }
}

@QueryHandler(GetPreferences)
export class GetPreferencesHandler implements IQueryHandler<GetPreferences> {
  constructor(private readonly readModels: ReadModels) {}

  /** From the whole user: that somebody has no profile is then cached as well. */
  async execute({ actor, readToken }: GetPreferences): Promise<Record<string, unknown>> {
    const user = await this.readModels.get(userModel, actor, undefined, { readToken });
    return user?.value.profile?.preferences ?? {};
  }
}
