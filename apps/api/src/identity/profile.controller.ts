import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Put } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import { ChangeProfile, DeleteProfile, GetUser, PutProfile } from '@studently/identity';
import type { Learner } from '@studently/platform';
import type { z } from 'zod';
import { Answers, Fresh, Idempotent, Versioned } from '../http/openapi';
import { CurrentActor, IfMatch, ReadToken } from '../http/request';
import { Id } from '../http/schemas';
import { ProfileAnswer, ProfileBody, ProfilePatch } from './identity.schemas';

@ApiTags('users')
@ApiBearerAuth()
@Controller('v1/users/:userId/profile')
export class ProfileController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  @Get()
  @ApiOperation({ summary: 'The profile of a user' })
  @Fresh()
  @Answers(200, ProfileAnswer)
  getProfile(@CurrentActor() actor: Learner, @Param('userId', { schema: Id }) userId: string, @ReadToken() readToken?: string) {
    return this.queries.execute(new GetUser(actor, userId, 'profile', readToken));
  }

  @Put()
  @ApiOperation({ summary: 'Write a profile anew' })
  @Idempotent()
  @Versioned()
  @Answers(200, ProfileAnswer)
  putProfile(
    @CurrentActor() actor: Learner,
    @Param('userId', { schema: Id }) userId: string,
    @Body({ schema: ProfileBody }) body: z.infer<typeof ProfileBody>,
    @IfMatch() ifMatch?: string,
  ) {
    return this.commands.execute(new PutProfile(actor, userId, body, ifMatch));
  }

  @Patch()
  @ApiOperation({ summary: 'Change a profile; preferences are merged (JSON Merge Patch)' })
  @Idempotent()
  @Versioned()
  @Answers(200, ProfileAnswer)
  changeProfile(
    @CurrentActor() actor: Learner,
    @Param('userId', { schema: Id }) userId: string,
    @Body({ schema: ProfilePatch }) body: z.infer<typeof ProfilePatch>,
    @IfMatch() ifMatch?: string,
  ) {
    return this.commands.execute(new ChangeProfile(actor, userId, body, ifMatch));
  }

  @Delete()
  @ApiOperation({ summary: 'Delete a profile' })
  @HttpCode(204)
  @Idempotent()
  @Versioned()
  @Answers(204)
  deleteProfile(@CurrentActor() actor: Learner, @Param('userId', { schema: Id }) userId: string, @IfMatch() ifMatch?: string) {
    return this.commands.execute(new DeleteProfile(actor, userId, ifMatch));
  }
}
