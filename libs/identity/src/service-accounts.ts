import { Injectable } from '@nestjs/common';
import { Database, ValidationFailed, type Learner } from '@studently/platform';
import { Unauthenticated } from './domain/identity.errors';
import { ServiceKey } from './domain/service-key';

export interface ServiceCaller {
  actor: Learner;
  scopes: readonly string[];
  /** There is no such learner. Only a service that has the scope is told. */
  actsForNobody: boolean;
}

interface Found {
  secretHash: Buffer;
  scopes: string[];
  expired: boolean;
  /** The learner is there. */
  known: boolean;
}

/** $3 is the learner to act for. */
const CHECK = `
  select k.secret_hash as "secretHash", k.scopes, coalesce(k.expires_at <= now(), false) as expired,
    exists (select from users u where u.id = $3) as known
  from find_service_key($1, $2) k`;

/** Which service account sends a request, and for whom. Nothing is remembered: what is revoked is refused at once. */
@Injectable()
export class ServiceAccounts {
  constructor(private readonly database: Database) {}

  /** Whether a bearer is meant as a service key. */
  isKey(bearer: string): boolean {
    return ServiceKey.isMeant(bearer);
  }

  /**
   * @param learnerId undefined: the request names none
   * @throws Unauthenticated, ValidationFailed
   */
  async authenticate(bearer: string, learnerId: string | undefined): Promise<ServiceCaller> {
    const key = ServiceKey.decode(bearer);
    if (!key) throw new Unauthenticated();
    const [found] = await this.database.read<Found>({ userId: learnerId, role: 'SERVICE' }, CHECK, [
      key.accountId,
      key.keyId,
      learnerId ?? null,
    ]);
    if (!found || found.expired || !key.proves(found.secretHash)) throw new Unauthenticated();
    if (learnerId === undefined) {
      const message = 'Name the learner for whom the service acts, by the id.';
      throw new ValidationFailed([{ path: 'X-Act-As', code: 'required', message }]);
    }
    const actor: Learner = { userId: learnerId, role: 'SERVICE', serviceId: key.accountId };
    return { actor, scopes: found.scopes, actsForNobody: !found.known };
  }
}
