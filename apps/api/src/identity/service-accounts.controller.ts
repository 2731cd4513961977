import { Body, Controller, Delete, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import {
  AddServiceKey,
  CreateServiceAccount,
  DeleteServiceAccount,
  ListServiceAccounts,
  RemoveServiceKey,
} from '@studently/identity';
import type { Learner } from '@studently/platform';
import type { z } from 'zod';
import { Answers, Idempotent } from '../http/openapi';
import { CurrentActor } from '../http/request';
import { Id, pageOf, PageQuery } from '../http/schemas';
import {
  NewServiceAccountAnswer,
  NewServiceKeyAnswer,
  ServiceAccountAnswer,
  ServiceAccountBody,
  ServiceKeyBody,
} from './access.schemas';

@ApiTags('service accounts')
@ApiBearerAuth()
@Controller('v1/service-accounts')
export class ServiceAccountsController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  @Post()
  @ApiOperation({ summary: 'Make a service account; its key is shown once' })
  @Answers(201, NewServiceAccountAnswer, 'With its first key, which is shown this once')
  createServiceAccount(
    @CurrentActor() actor: Learner,
    @Body({ schema: ServiceAccountBody }) body: z.infer<typeof ServiceAccountBody>,
  ) {
    return this.commands.execute(new CreateServiceAccount(actor, body));
  }

  @Get()
  @ApiOperation({ summary: 'List service accounts, without their keys' })
  @Answers(200, pageOf(ServiceAccountAnswer))
  listServiceAccounts(@CurrentActor() actor: Learner, @Query({ schema: PageQuery }) page: z.infer<typeof PageQuery>) {
    return this.queries.execute(new ListServiceAccounts(actor, page));
  }

  @Delete(':accountId')
  @ApiOperation({ summary: 'Delete a service account; its keys end at once' })
  @HttpCode(204)
  @Idempotent()
  @Answers(204)
  deleteServiceAccount(@CurrentActor() actor: Learner, @Param('accountId', { schema: Id }) accountId: string) {
    return this.commands.execute(new DeleteServiceAccount(actor, accountId));
  }

  @Post(':accountId/keys')
  @ApiOperation({ summary: 'Add a key to a service account; it is shown once' })
  @Answers(201, NewServiceKeyAnswer, 'Another key, which is shown this once')
  addServiceKey(
    @CurrentActor() actor: Learner,
    @Param('accountId', { schema: Id }) accountId: string,
    @Body({ schema: ServiceKeyBody }) { expiresAt }: z.infer<typeof ServiceKeyBody>,
  ) {
    return this.commands.execute(new AddServiceKey(actor, accountId, expiresAt));
  }

  @Delete(':accountId/keys/:keyId')
  @ApiOperation({ summary: 'Remove a key of a service account, which ends at once' })
  @HttpCode(204)
  @Idempotent()
  @Answers(204)
  removeServiceKey(
    @CurrentActor() actor: Learner,
    @Param('accountId', { schema: Id }) accountId: string,
    @Param('keyId', { schema: Id }) keyId: string,
  ) {
    return this.commands.execute(new RemoveServiceKey(actor, accountId, keyId));
  }
}
