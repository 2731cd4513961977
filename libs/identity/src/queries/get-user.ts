import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { NotFound, ReadModels, type Learner, type ReadModel, type View } from '@studently/platform';
import {
  profileModel,
  subscriptionModel,
  userModel,
  type ProfileView,
  type SubscriptionView,
  type UserView,
} from './user.read-model';

interface PartOfUser {
  user: UserView;
  profile: ProfileView;
  subscription: SubscriptionView;
}

const models: { [Part in keyof PartOfUser]: ReadModel<void, PartOfUser[Part]> } = {
  user: userModel,
  profile: profileModel,
  subscription: subscriptionModel,
};

/** A user, or only the profile or subscription, as the user or an ADMIN may see it. */
export class GetUser<Part extends keyof PartOfUser = 'user'> extends Query<View<PartOfUser[Part]>> {
  constructor(
    readonly actor: Learner,
    readonly userId: string,
    readonly part: Part,
    readonly readToken?: string,
  ) {
    super();
  }
}

@QueryHandler(GetUser)
export class GetUserHandler implements IQueryHandler<GetUser<keyof PartOfUser>> {
  constructor(private readonly readModels: ReadModels) {}

  async execute({ actor, userId, part, readToken }: GetUser<keyof PartOfUser>): Promise<View<PartOfUser[typeof part]>> {
    const model = models[part] as ReadModel<void, PartOfUser[typeof part]>;
    const view = await this.readModels.get(model, actor, undefined, { ownerId: userId, readToken });
    if (!view) throw new NotFound(part);
    return view;
  }
}
