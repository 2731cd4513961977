import { Body, Controller, Delete, Get, HttpCode, Param, Put } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import { DeleteSubscription, GetUser, PutSubscription } from '@studently/identity';
import type { Learner } from '@studently/platform';
import type { z } from 'zod';
import { Answers, Fresh, Idempotent, Versioned } from '../http/openapi';
import { CurrentActor, IfMatch, ReadToken } from '../http/request';
import { Id } from '../http/schemas';
import { SubscriptionAnswer, SubscriptionBody } from './identity.schemas';

@ApiTags('users')
@ApiBearerAuth()
@Controller('v1/users/:userId/subscription')
export class SubscriptionController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  @Get()
  @ApiOperation({ summary: 'The subscription of a user' })
  @Fresh()
  @Answers(200, SubscriptionAnswer)
  getSubscription(
    @CurrentActor() actor: Learner,
    @Param('userId', { schema: Id }) userId: string,
    @ReadToken() readToken?: string,
  ) {
    return this.queries.execute(new GetUser(actor, userId, 'subscription', readToken));
  }

  @Put()
  @ApiOperation({ summary: 'Write a subscription, for an ADMIN or a service' })
  @Idempotent()
  @Versioned()
  @Answers(200, SubscriptionAnswer)
  putSubscription(
    @CurrentActor() actor: Learner,
    @Param('userId', { schema: Id }) userId: string,
    @Body({ schema: SubscriptionBody }) body: z.infer<typeof SubscriptionBody>,
    @IfMatch() ifMatch?: string,
  ) {
    return this.commands.execute(new PutSubscription(actor, userId, body, ifMatch));
  }

  @Delete()
  @ApiOperation({ summary: 'Delete a subscription, for an ADMIN or a service' })
  @HttpCode(204)
  @Idempotent()
  @Versioned()
  @Answers(204)
  deleteSubscription(
    @CurrentActor() actor: Learner,
    @Param('userId', { schema: Id }) userId: string,
    @IfMatch() ifMatch?: string,
  ) {
    return this.commands.execute(new DeleteSubscription(actor, userId, ifMatch));
  }
}
