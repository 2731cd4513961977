import { randomUUID } from 'node:crypto';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { expectVersion, UnitOfWork, type Learner, type Written } from '@studently/platform';
import { Profile, type ProfileFields } from '../domain/profile.entity';
import { ProfileChanged, ProfileDeleted } from '../identity.events';
import { profileModel, type ProfileView } from '../queries/user.read-model';
import { lockUser, profileOf } from './locking';

/** Puts a whole profile in place, whether there was one or not. */
export class PutProfile extends Command<Written<ProfileView>> {
  constructor(
    readonly actor: Learner,
    readonly userId: string,
    readonly profile: ProfileFields,
    readonly ifMatch?: string,
  ) {
    super();
  }
}

/** Changes what is given of a profile; `preferences` is a JSON merge patch. */
export class ChangeProfile extends Command<Written<ProfileView>> {
  constructor(
    readonly actor: Learner,
    readonly userId: string,
    readonly changes: Partial<ProfileFields>,
    readonly ifMatch?: string,
  ) {
    super();
  }
}

export class DeleteProfile extends Command<Written<void>> {
  constructor(
    readonly actor: Learner,
    readonly userId: string,
    readonly ifMatch?: string,
  ) {
    super();
  }
}

@CommandHandler(PutProfile)
export class PutProfileHandler implements ICommandHandler<PutProfile> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, userId, profile, ifMatch }: PutProfile): Promise<Written<ProfileView>> {
    return this.unitOfWork.run<ProfileView>(actor, async (tx) => {
      const user = await lockUser(tx, userId);
      const existing = await tx.em.findOne(Profile, { user });
      expectVersion(existing, ifMatch);
      if (existing) existing.replace(profile, await tx.cipher(userId));
      else tx.em.persist(Profile.of(user, randomUUID(), profile, await tx.cipher(userId)));
      tx.record(new ProfileChanged(userId, Object.keys(profile)));
      return tx.view(profileModel, userId, undefined);
    });
  }
}

@CommandHandler(ChangeProfile)
export class ChangeProfileHandler implements ICommandHandler<ChangeProfile> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, userId, changes, ifMatch }: ChangeProfile): Promise<Written<ProfileView>> {
    return this.unitOfWork.run<ProfileView>(actor, async (tx) => {
      const profile = await profileOf(tx, await lockUser(tx, userId));
      expectVersion(profile, ifMatch);
      profile.change(changes, await tx.cipher(userId));
      tx.record(new ProfileChanged(userId, Object.keys(changes)));
      return tx.view(profileModel, userId, undefined);
    });
  }
}

@CommandHandler(DeleteProfile)
export class DeleteProfileHandler implements ICommandHandler<DeleteProfile> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, userId, ifMatch }: DeleteProfile): Promise<Written<void>> {
    return this.unitOfWork.run(actor, async (tx) => {
      const profile = await profileOf(tx, await lockUser(tx, userId));
      expectVersion(profile, ifMatch);
      tx.em.remove(profile);
      tx.record(new ProfileDeleted(userId));
    });
  }
}
