import { Module, type OnModuleInit } from '@nestjs/common';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import { EventConsumers, Jobs, LearnerKeys, ReadModels } from '@studently/platform';
import { BootstrapAdminHandler } from './commands/bootstrap-admin';
import { ChangePasswordHandler } from './commands/change-password';
import { ChangeProfileHandler, DeleteProfileHandler, PutProfileHandler } from './commands/change-profile';
import { ChangeRoleHandler } from './commands/change-role';
import { DeleteSubscriptionHandler, PutSubscriptionHandler } from './commands/change-subscription';
import { ChangeUserHandler } from './commands/change-user';
import { DeleteUserHandler } from './commands/delete-user';
import { GiveGrantHandler, WithdrawGrantHandler } from './commands/grants';
import { OpenSessionHandler } from './commands/open-session';
import { RegisterUserHandler } from './commands/register-user';
import { RevokeSessionsHandler } from './commands/revoke-sessions';
import { CreateServiceAccountHandler, DeleteServiceAccountHandler } from './commands/service-accounts';
import { AddServiceKeyHandler, RemoveServiceKeyHandler } from './commands/service-keys';
import { Profile } from './domain/profile.entity';
import { Session } from './domain/session.entity';
import { Subscription } from './domain/subscription.entity';
import { EmailClaim, User } from './domain/user.entity';
import { GetPreferencesHandler } from './queries/get-preferences';
import { FindUserHandler } from './queries/find-user';
import { GetUserHandler } from './queries/get-user';
import { HasGrantedHandler, ListGrantsHandler, ListLearnersHandler } from './queries/grants';
import { HasUsersHandler } from './queries/has-users';
import { ListServiceAccountsHandler } from './queries/list-service-accounts';
import { GetSessionHandler, ListSessionsHandler } from './queries/list-sessions';
import { ListUsersHandler } from './queries/list-users';
import { DESTROY_KEYS, DestroyKeys } from './destroy-keys';
import { UserDeleted } from './identity.events';
import { userModel } from './queries/user.read-model';
import { Guesses } from './passwords/guesses';
import { Passwords } from './passwords/passwords';
import { Revocations } from './revocations';
import { ServiceAccounts } from './service-accounts';
import { Sessions } from './sessions';

/** Users, profiles, roles, subscriptions, sessions, service accounts and grants. */
@Module({
  imports: [MikroOrmModule.forFeature([User, EmailClaim, Profile, Subscription, Session])],
  providers: [
    Passwords,
    Guesses,
    Revocations,
    Sessions,
    ServiceAccounts,
    DestroyKeys,
    BootstrapAdminHandler,
    RegisterUserHandler,
    OpenSessionHandler,
    RevokeSessionsHandler,
    ChangeUserHandler,
    ChangePasswordHandler,
    ChangeRoleHandler,
    DeleteUserHandler,
    PutProfileHandler,
    ChangeProfileHandler,
    DeleteProfileHandler,
    PutSubscriptionHandler,
    DeleteSubscriptionHandler,
    FindUserHandler,
    GetUserHandler,
    HasUsersHandler,
    GetPreferencesHandler,
    ListUsersHandler,
    ListSessionsHandler,
    GetSessionHandler,
    GiveGrantHandler,
    WithdrawGrantHandler,
    ListGrantsHandler,
    ListLearnersHandler,
    HasGrantedHandler,
    CreateServiceAccountHandler,
    DeleteServiceAccountHandler,
    AddServiceKeyHandler,
    RemoveServiceKeyHandler,
    ListServiceAccountsHandler,
  ],
  exports: [Sessions, ServiceAccounts],
})
export class IdentityModule implements OnModuleInit {
  constructor(
    private readonly readModels: ReadModels,
    private readonly jobs: Jobs,
    private readonly destroyKeys: DestroyKeys,
    private readonly consumers: EventConsumers,
    private readonly keys: LearnerKeys,
  ) {}

  onModuleInit(): void {
    this.readModels.register(userModel);
    this.jobs.register(DESTROY_KEYS, this.destroyKeys);
    this.jobs.on(UserDeleted, DESTROY_KEYS);
    this.consumers.on(UserDeleted, async ({ learnerId }) => this.keys.forget(learnerId)); // a worker destroys them
  }
}
