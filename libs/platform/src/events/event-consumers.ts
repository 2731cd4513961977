import { Injectable } from '@nestjs/common';
import type { DomainEvent, EventPayload, EventType } from './domain-event';

type Consumer = (event: EventPayload) => Promise<void>;

/**
 * Who must hear of an event. A consumer is called right after the commit and again by the outbox relay
 * (so that a process may die in between): it has to be idempotent and must not rely on order.
 */
@Injectable()
export class EventConsumers {
  private readonly byTopic = new Map<string, Consumer[]>();

  on<E extends DomainEvent>(type: EventType<E>, consumer: (event: EventPayload<E>) => Promise<void>): void {
    this.byTopic.set(type.topic, [...(this.byTopic.get(type.topic) ?? []), consumer as unknown as Consumer]);
  }

  /** @throws whatever a consumer throws, after all of them have been called */
  async deliver(topic: string, event: EventPayload): Promise<void> {
    const results = await Promise.allSettled((this.byTopic.get(topic) ?? []).map((consumer) => consumer(event)));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
  }
}
