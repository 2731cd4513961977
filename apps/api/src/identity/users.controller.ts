import { createHash, randomUUID } from 'node:crypto';
import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Put, Query } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import {
  ChangePassword,
  ChangeRole,
  ChangeUser,
  DeleteUser,
  GetUser,
  ListUsers,
  RegisterUser,
  type LoginOrigin,
} from '@studently/identity';
import type { Actor, Learner } from '@studently/platform';
import type { z } from 'zod';
import { Answers, Fresh, Idempotent, Versioned } from '../http/openapi';
import { AuthenticationRate } from '../http/rate-limits';
import { Caller, CurrentActor, IfMatch, ReadToken } from '../http/request';
import { Id, pageOf } from '../http/schemas';
import { PasswordBody, RegistrationBody, RoleBody, UserAnswer, UserPatch, UsersQuery } from './identity.schemas';

@ApiTags('users')
@ApiBearerAuth()
@Controller('v1/users')
export class UsersController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  @Post()
  @ApiOperation({ summary: 'Register somebody new, as a STUDENT; open to all' })
  @AuthenticationRate()
  @Idempotent()
  @Answers(201, UserAnswer)
  register(
    @Caller() { origin, ...caller }: Pick<Actor, 'requestId' | 'idempotency'> & { origin: LoginOrigin },
    @Body({ schema: RegistrationBody }) body: z.infer<typeof RegistrationBody>,
  ) {
    const id = body.id ?? newUserId(caller, origin);
    return this.commands.execute(new RegisterUser(caller, { ...body, id }, origin.ip));
  }

  @Get()
  @ApiOperation({ summary: 'List users by role or address, for an ADMIN' })
  @Answers(200, pageOf(UserAnswer))
  list(@CurrentActor() actor: Learner, @Query({ schema: UsersQuery }) query: z.infer<typeof UsersQuery>) {
    return this.queries.execute(new ListUsers(actor, query, query));
  }

  @Get('me')
  @ApiOperation({ summary: 'Who is logged in' })
  @Fresh()
  @Answers(200, UserAnswer)
  getMe(@CurrentActor() actor: Learner, @ReadToken() readToken?: string) {
    return this.queries.execute(new GetUser(actor, actor.userId, 'user', readToken));
  }

  @Get(':userId')
  @ApiOperation({ summary: 'A user with profile and subscription' })
  @Fresh()
  @Answers(200, UserAnswer)
  get(@CurrentActor() actor: Learner, @Param('userId', { schema: Id }) userId: string, @ReadToken() readToken?: string) {
    return this.queries.execute(new GetUser(actor, userId, 'user', readToken));
  }

  @Patch(':userId')
  @ApiOperation({ summary: 'Change the address or the profile of a user' })
  @Idempotent()
  @Versioned()
  @Answers(200, UserAnswer)
  change(
    @CurrentActor() actor: Learner,
    @Param('userId', { schema: Id }) userId: string,
    @Body({ schema: UserPatch }) body: z.infer<typeof UserPatch>,
    @IfMatch() ifMatch?: string,
  ) {
    return this.commands.execute(new ChangeUser(actor, userId, body, ifMatch));
  }

  @Delete(':userId')
  @ApiOperation({ summary: 'Delete a user with all that is theirs; it cannot be undone' })
  @HttpCode(204)
  @Idempotent()
  @Versioned()
  @Answers(204)
  delete(@CurrentActor() actor: Learner, @Param('userId', { schema: Id }) userId: string, @IfMatch() ifMatch?: string) {
    return this.commands.execute(new DeleteUser(actor, userId, ifMatch));
  }

  @Put(':userId/password')
  @ApiOperation({ summary: 'Change your password; all other sessions end' })
  @HttpCode(204)
  @Idempotent()
  @Answers(204)
  changePassword(
    @CurrentActor() actor: Learner,
    @Param('userId', { schema: Id }) userId: string,
    @Body({ schema: PasswordBody }) body: z.infer<typeof PasswordBody>,
  ) {
    return this.commands.execute(new ChangePassword(actor, userId, body.currentPassword, body.newPassword));
  }

  @Put(':userId/role')
  @ApiOperation({ summary: 'Change the role of a user, whose sessions end' })
  @Idempotent()
  @Versioned()
  @Answers(200, UserAnswer)
  changeRole(
    @CurrentActor() actor: Learner,
    @Param('userId', { schema: Id }) userId: string,
    @Body({ schema: RoleBody }) { role }: z.infer<typeof RoleBody>,
    @IfMatch() ifMatch?: string,
  ) {
    return this.commands.execute(new ChangeRole(actor, userId, role, ifMatch));
  }
}

/** The same Idempotency-Key from the same place is about the same user, although nobody is logged in yet. */
function newUserId({ idempotency }: Pick<Actor, 'idempotency'>, { ip }: LoginOrigin): string {
  if (!idempotency) return randomUUID();
  const hex = createHash('sha256').update(`${idempotency.key}\n${ip}`).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
