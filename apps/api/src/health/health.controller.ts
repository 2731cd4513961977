import { Controller, Get, Res } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { Health, type Readiness } from '@studently/platform';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { Answers } from '../http/openapi';

const Alive = z.object({ status: z.literal('ok') });
const ReadinessAnswer = z.object({
  status: z.enum(['ok', 'degraded', 'down']),
  checks: z.record(z.string(), z.object({ status: z.enum(['up', 'down']), message: z.string().optional() })),
});

/** For orchestrators. */
@ApiTags('health')
@Controller('health')
export class HealthController {
  constructor(private readonly health: Health) {}

  /** The process runs. It asks nobody else: a restart would not mend them. */
  @Get('live')
  @ApiOperation({ summary: 'Whether the process lives' })
  @Answers(200, Alive)
  live() {
    return { status: 'ok' };
  }

  /** The process has started: it only listens once it is ready to. */
  @Get('startup')
  @ApiOperation({ summary: 'Whether the process has started' })
  @Answers(200, Alive)
  startup() {
    return { status: 'ok' };
  }

  /** Requests may be sent here: 200 when ok or degraded, 503 when down or about to end. */
  @Get('ready')
  @ApiOperation({ summary: 'Whether requests are answered, and what each dependency is like' })
  @Answers(200, ReadinessAnswer)
  @Answers(503, ReadinessAnswer, 'down')
  async ready(@Res({ passthrough: true }) reply: FastifyReply): Promise<Readiness> {
    const readiness = await this.health.readiness();
    if (readiness.status === 'down') void reply.code(503);
    return readiness;
  }
}
