import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { ServiceAccounts, Sessions, Unauthenticated } from '@studently/identity';
import { Forbidden, ValidationFailed } from '@studently/platform';
import { Access } from './access';
import { POLICY, type Operation } from './policy';
import { HttpRateLimits } from './rate-limits';
import type { ApiRequest } from './request';
import { Id } from './schemas';

/** Finds out who sends a request, whether the policy table lets them, and whether they have sent too many. */
@Injectable()
export class AdmissionGuard implements CanActivate {
  constructor(
    private readonly sessions: Sessions,
    private readonly services: ServiceAccounts,
    private readonly access: Access,
    private readonly rates: HttpRateLimits,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const operation = context.getHandler().name as Operation;
    const request = context.switchToHttp().getRequest<ApiRequest>();
    if (!('anonymous' in POLICY[operation])) {
      await (request.stillMay = () => this.authenticate(request))();
      await this.access.check(operation, request);
    }
    await this.rates.admit(request);
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
