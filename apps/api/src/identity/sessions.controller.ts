import { Body, Controller, Delete, Get, HttpCode, Post, Query } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import { GetSession, ListSessions, OpenSession, RevokeSessions, type LoginOrigin } from '@studently/identity';
import type { Actor, Learner } from '@studently/platform';
import type { z } from 'zod';
import { Answers } from '../http/openapi';
import { AuthenticationRate } from '../http/rate-limits';
import { Caller, CurrentActor } from '../http/request';
import { pageOf, PageQuery } from '../http/schemas';
import { LoginAnswer, LoginBody, SessionAnswer } from './identity.schemas';

@ApiTags('sessions')
@ApiBearerAuth()
@Controller('v1/sessions')
export class SessionsController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  @Post()
  @ApiOperation({ summary: 'Log in; the token is shown once' })
  @AuthenticationRate()
  @Answers(201, LoginAnswer)
  login(
    @Caller() { requestId, origin }: Pick<Actor, 'requestId'> & { origin: LoginOrigin },
    @Body({ schema: LoginBody }) { email, password }: z.infer<typeof LoginBody>,
  ) {
    return this.commands.execute(new OpenSession({ requestId }, email, password, origin));
  }

  @Get()
  @ApiOperation({ summary: 'List your sessions' })
  @Answers(200, pageOf(SessionAnswer))
  listSessions(@CurrentActor() actor: Learner, @Query({ schema: PageQuery }) page: z.infer<typeof PageQuery>) {
    return this.queries.execute(new ListSessions(actor, page));
  }

  @Get('current')
  @ApiOperation({ summary: 'The session of the request' })
  @Answers(200, SessionAnswer)
  getSession(@CurrentActor() actor: Learner) {
    return this.queries.execute(new GetSession(actor));
  }

  @Delete('current')
  @ApiOperation({ summary: 'Log out: end the session of the request' })
  @HttpCode(204)
  @Answers(204)
  logout(@CurrentActor() actor: Learner) {
    return this.commands.execute(new RevokeSessions(actor, 'current'));
  }

  @Delete()
  @ApiOperation({ summary: 'End all of your sessions' })
  @HttpCode(204)
  @Answers(204)
  logoutEverywhere(@CurrentActor() actor: Learner) {
    return this.commands.execute(new RevokeSessions(actor, 'all'));
  }
}
