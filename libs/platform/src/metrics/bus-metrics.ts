import { Injectable, type OnModuleInit } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { InjectMetric } from '@willsoto/nestjs-prometheus';
import type { Histogram } from 'prom-client';

export const BUS_DURATION = 'studently_bus_duration_seconds';

interface Bus {
  execute(message: object, context?: never): Promise<unknown>;
}

/** Times every command and query by its name, whoever dispatches it. */
@Injectable()
export class BusMetrics implements OnModuleInit {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
    @InjectMetric(BUS_DURATION) private readonly duration: Histogram<'kind' | 'name' | 'outcome'>,
  ) {}

  onModuleInit(): void {
    this.measure(this.commands, 'command');
    this.measure(this.queries, 'query');
  }

  private measure(bus: Bus, kind: string): void {
    const execute = bus.execute.bind(bus);
    bus.execute = async (message, context) => {
      const began = performance.now();
      let outcome = 'error';
      try {
        const result = await execute(message, context);
        outcome = 'ok';
        return result;
      } finally {
        this.duration.observe({ kind, name: message.constructor.name, outcome }, (performance.now() - began) / 1000);
      }
    };
  }
}
