import { Injectable } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import { HasGranted } from '@studently/identity';
import { Forbidden, NotFound, ValidationFailed, type Learner } from '@studently/platform';
import { POLICY, verdictOf, type Operation, type Owner, type Rule } from './policy';
import type { ApiRequest } from './request';
import { Id } from './schemas';

const NOT_AN_ID = { code: 'invalid_format', message: 'It is the id of a user.' };

/** Carries the policy table out on a request whose sender is known. */
@Injectable()
export class Access {
  constructor(private readonly queries: QueryBus) {}

  /**
   * Whose the resource is, the path says only where it names a user. An id of anything else is looked for among the rows of the
   * caller, where row-level security shows no other's.
   * @throws Forbidden, NotFound, ValidationFailed
   */
  async check(operation: Operation, request: ApiRequest): Promise<void> {
    const rule: Rule = POLICY[operation];
    const { actor, scopes, actsForNobody } = request as ApiRequest & { actor: Learner };
    const { userId } = request.params as { userId?: string };
    const named = userId === undefined ? undefined : Id.safeParse(userId);
    if (named?.success === false) throw new ValidationFailed([{ path: 'userId', ...NOT_AN_ID }]);
    const owner = await this.ownerOf(rule, actor, named?.data);
    const verdict = verdictOf(rule, actor.role === 'SERVICE' ? { scopes: scopes! } : actor.role, owner);
    if (verdict === 'hidden') throw new NotFound('user');
    if (verdict === 'deny') throw new Forbidden(denial(rule, actor.role));
    if (actsForNobody) throw new NotFound('user');
    if (actor.role === 'SERVICE') request.reads = { operation, learnerId: actor.userId };
    else if (owner !== 'own') request.reads = { operation, learnerId: named!.data };
    else if (rule.showsUsers) request.reads = { operation };
  }

  private ownerOf({ granted }: Rule, actor: Learner, named: string | undefined): Owner | Promise<Owner> {
    if (named === undefined || named === actor.userId) return 'own';
    if (!granted || actor.role !== 'TEACHER') return 'other';
    return this.queries.execute(new HasGranted(actor, named, granted)).then((has) => (has ? 'granted' : 'other'));
  }
}

function denial({ own, service }: Rule, role: string): string {
  if (role === 'SERVICE')
    return service
      ? `The service account lacks the scope ${[service].flat().join(' or ')}.`
      : 'No service account may do that.';
  return own.length === 0 ? 'This is for what learners have granted to a TEACHER.' : `Only ${own.join(' or ')} may do that.`;
}
