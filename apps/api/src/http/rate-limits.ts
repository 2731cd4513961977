import { Inject, Injectable } from '@nestjs/common';
import { RouteConfig } from '@nestjs/platform-fastify';
import {
  addressPrincipal,
  ExpiringMap,
  RATE_WINDOW_SECONDS,
  RateLimited,
  RateLimits,
  SETTINGS,
  type RatePolicy,
  type RateVerdict,
  type Settings,
} from '@studently/platform';
import type { FastifyReply } from 'fastify';
import { isRead, routeOf, type ApiRequest } from './request';

declare module 'fastify' {
  interface FastifyContextConfig {
    ratePolicy?: 'auth';
  }
}

/** Login and registration: few a minute, by address, as nobody is known yet. */
export const AuthenticationRate = () => RouteConfig({ ratePolicy: 'auth' });

const MOST_DENIALS = 50_000;

/**
 * Each request under /v1 counts once: for whoever it is authenticated as, else for its address
 * (docs/adr/0016-rate-limits.md). Whoever is refused is known here by his credentials until the window ends, so that
 * a flood costs neither a look at the session nor the reading of a body.
 */
@Injectable()
export class HttpRateLimits {
  private readonly denials = new ExpiringMap<RateVerdict>(MOST_DENIALS);
  private readonly policies: Record<'default' | 'auth', RatePolicy>;

  constructor(
    @Inject(SETTINGS) { RATE_LIMIT, RATE_LIMIT_AUTH }: Settings,
    private readonly limits: RateLimits,
  ) {
    this.policies = {
      default: { name: 'default', limit: RATE_LIMIT, limitAlone: RATE_LIMIT },
      // Each process alone admits half, so that guessing at two of them gains nothing by an outage of Redis.
      auth: { name: 'auth', limit: RATE_LIMIT_AUTH, limitAlone: Math.ceil(RATE_LIMIT_AUTH / 2) },
    };
  }

  /** That the caller has been refused in this window, as far as this process knows. Before anything is read of the request. */
  recall(request: ApiRequest): RateVerdict | undefined {
    void request.ip; // asked for while it is connected: Node does not know it later
    if (this.denials.size === 0) return undefined;
    const denial = this.denials.get(this.credentialsOf(request));
    if (denial) request.rate = { ...denial.value, secondsLeft: Math.ceil(denial.msLeft / 1000) };
    return denial && (request.rate as RateVerdict);
  }

  /** Counts the request, unless it is counted already. @returns undefined for what has no limit: health, metrics, documents */
  count(request: ApiRequest): RateVerdict | Promise<RateVerdict> | undefined {
    const { url: route } = routeOf(request);
    if (route !== undefined && !route.startsWith('/v1/')) return undefined;
    return (request.rate ??= this.take(request));
  }

  /**
   * Counts it, once it is known whose it is. A write waits for its verdict. A read goes on at once, so that its verdict comes
   * from Redis together with the view, and is given before the answer leaves (hooks.ts).
   * @throws RateLimited
   */
  async admit(request: ApiRequest): Promise<void> {
    const rate = this.count(request);
    if (rate === undefined || isRead(request)) return;
    const { isAllowed, secondsLeft } = await rate;
    if (!isAllowed) throw new RateLimited(secondsLeft);
  }

  private async take(request: ApiRequest): Promise<RateVerdict> {
    const policy = this.policyOf(request);
    const verdict = await this.limits.take(principalOf(request, policy), policy);
    const isKnown = policy.name === 'auth' || request.actor || request.headers.authorization === undefined;
    if (!verdict.isAllowed && isKnown) this.denials.set(this.credentialsOf(request), verdict, verdict.secondsLeft * 1000);
    return verdict;
  }

  private policyOf(request: ApiRequest): RatePolicy {
    return this.policies[routeOf(request).config?.ratePolicy ?? 'default'];
  }

  private credentialsOf(request: ApiRequest): string {
    const { name } = this.policyOf(request);
    const token = name === 'auth' ? undefined : request.headers.authorization;
    return `${name} ${token ?? addressPrincipal(request.ip)}`;
  }
}

/** A service account is one principal, for however many learners it acts. */
function principalOf({ actor, ip }: ApiRequest, policy: RatePolicy): string {
  if (policy.name === 'auth' || !actor) return addressPrincipal(ip);
  return actor.serviceId === undefined ? `u:${actor.userId}` : `s:${actor.serviceId}`;
}

/** What a client may still do: draft-ietf-httpapi-ratelimit-headers-10. */
export function describeRate({ policy, remaining, secondsLeft }: RateVerdict, reply: FastifyReply): void {
  void reply.headers({
    'ratelimit-policy': `"${policy.name}";q=${policy.limit};w=${RATE_WINDOW_SECONDS}`,
    ratelimit: `"${policy.name}";r=${remaining};t=${secondsLeft}`,
  });
}
