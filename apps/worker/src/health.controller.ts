import { Controller, Get, Res } from '@nestjs/common';
import { Health, type Readiness } from '@studently/platform';
import type { FastifyReply } from 'fastify';

/** For orchestrators. */
@Controller('health')
export class HealthController {
  constructor(private readonly health: Health) {}

  /** The process runs. It asks nobody else: a restart would not mend them. */
  @Get('live')
  live() {
    return { status: 'ok' };
  }

  /** 503 when down or about to end; degraded (200): jobs may wait, and lose nothing. */
  @Get('ready')
  async ready(@Res({ passthrough: true }) reply: FastifyReply): Promise<Readiness> {
    const readiness = await this.health.readiness();
    if (readiness.status === 'down') void reply.code(503);
    return readiness;
  }
}
