import { randomUUID } from 'node:crypto';
import { Body, Controller, Delete, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import { GiveGrant, ListGrants, WithdrawGrant } from '@studently/identity';
import type { Learner } from '@studently/platform';
import type { z } from 'zod';
import { Answers, Idempotent } from '../http/openapi';
import { CurrentActor } from '../http/request';
import { Id, pageOf, PageQuery } from '../http/schemas';
import { GrantAnswer, GrantBody } from './access.schemas';

/** What a learner shares with teachers. The user in the path is the one who asks: the policy table lets nobody else. */
@ApiTags('users')
@ApiBearerAuth()
@Controller('v1/users/:userId/grants')
export class GrantsController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  @Post()
  @ApiOperation({ summary: 'Let a teacher read something of your own' })
  @Idempotent()
  @Answers(201, GrantAnswer)
  giveGrant(
    @CurrentActor() actor: Learner,
    @Param('userId', { schema: Id }) _userId: string,
    @Body({ schema: GrantBody }) body: z.infer<typeof GrantBody>,
  ) {
    return this.commands.execute(new GiveGrant(actor, { ...body, id: body.id ?? randomUUID() }));
  }

  @Get()
  @ApiOperation({ summary: 'List which teachers may read what' })
  @Answers(200, pageOf(GrantAnswer))
  listGrants(
    @CurrentActor() actor: Learner,
    @Param('userId', { schema: Id }) _userId: string,
    @Query({ schema: PageQuery }) page: z.infer<typeof PageQuery>,
  ) {
    return this.queries.execute(new ListGrants(actor, page));
  }

  @Delete(':grantId')
  @ApiOperation({ summary: 'Withdraw what a teacher may read' })
  @HttpCode(204)
  @Idempotent()
  @Answers(204)
  withdrawGrant(
    @CurrentActor() actor: Learner,
    @Param('userId', { schema: Id }) _userId: string,
    @Param('grantId', { schema: Id }) grantId: string,
  ) {
    return this.commands.execute(new WithdrawGrant(actor, grantId));
  }
}
