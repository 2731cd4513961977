import { Module, type OnModuleInit } from '@nestjs/common';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import { ReadModels } from '@studently/platform';
import { BootstrapAdminHandler } from './commands/bootstrap-admin';
import { ChangePasswordHandler } from './commands/change-password';
import { ChangeProfileHandler, DeleteProfileHandler, PutProfileHandler } from './commands/change-profile';
import { ChangeRoleHandler } from './commands/change-role';
import { DeleteSubscriptionHandler, PutSubscriptionHandler } from './commands/change-subscription';
import { ChangeUserHandler } from './commands/change-user';
import { DeleteUserHandler } from './commands/delete-user';
import { OpenSessionHandler } from './commands/open-session';
import { RegisterUserHandler } from './commands/register-user';
import { RevokeSessionsHandler } from './commands/revoke-sessions';
import { Profile } from './domain/profile.entity';
import { Session } from './domain/session.entity';
import { Subscription } from './domain/subscription.entity';
import { EmailClaim, User } from './domain/user.entity';
import { GetPreferencesHandler } from './queries/get-preferences';
import { FindUserHandler } from './queries/find-user';
import { GetUserHandler } from './queries/get-user';
import { HasUsersHandler } from './queries/has-users';
import { GetSessionHandler, ListSessionsHandler } from './queries/list-sessions';
import { ListUsersHandler } from './queries/list-users';
import { userModel } from './queries/user.read-model';
import { Sessions } from './sessions';

/** Users, profiles, roles, subscriptions and sessions. */
@Module({
  imports: [MikroOrmModule.forFeature([User, EmailClaim, Profile, Subscription, Session])],
  providers: [
    Sessions,
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
  ],
  exports: [Sessions],
})
export class IdentityModule implements OnModuleInit {
  constructor(private readonly readModels: ReadModels) {}

  onModuleInit(): void {
    this.readModels.register(userModel);
  }
}
