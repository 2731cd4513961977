import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { ServiceAccounts, Sessions, Unauthenticated } from '@studently/identity';
import { Forbidden, ValidationFailed } from '@studently/platform';
import { Access } from './access';
import { POLICY, type Operation } from './policy';
import type { ApiRequest } from './request';
import { Id } from './schemas';

/** Finds out who sends a request, and whether the policy table lets them. */
@Injectable()
export class AuthenticationGuard implements CanActivate {
  constructor(
    private readonly sessions: Sessions,
    private readonly services: ServiceAccounts,
    private readonly access: Access,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const operation = context.getHandler().name as Operation;
    if ('anonymous' in POLICY[operation]) return true;
    const request = context.switchToHttp().getRequest<ApiRequest>();
    await this.authenticate(request);
    await this.access.check(operation, request);
    return true;
  }

  /** @throws Unauthenticated, SessionRevoked, ValidationFailed, Forbidden */
  private async authenticate(request: ApiRequest): Promise<void> {
    const { authorization = '', 'x-act-as': actAs } = request.headers;
    const [, bearer] = /^Bearer ([\w-]{1,200})$/i.exec(authorization) ?? [];
    if (!bearer) throw new Unauthenticated();
    if (this.services.isKey(bearer)) Object.assign(request, await this.services.authenticate(bearer, idIn(actAs)));
    else {
      request.actor = await this.sessions.authenticate(bearer);
      if (actAs !== undefined) throw new Forbidden('Only a service account acts for somebody else: leave X-Act-As out.');
    }
  }
}

/** @throws ValidationFailed for what is there and no id */
function idIn(header: string | string[] | undefined): string | undefined {
  if (header === undefined) return undefined;
  const id = Id.safeParse(header);
  if (id.success) return id.data;
  throw new ValidationFailed([{ path: 'X-Act-As', code: 'invalid_format', message: 'It is the id of a user.' }]);
}
