import { Controller, Get, Req, Res } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { EventCursor, Learner } from '@studently/platform';
import type { FastifyReply } from 'fastify';
import { EVENT_STREAM, EventStreamed } from '../http/openapi';
import { CurrentActor, LastEventId, type ApiRequest } from '../http/request';
import { EventStreams } from './event-streams';

/** For what a stream has left in the connection when it ends; whoever does not take it by then is let go. */
const GRACE_MS = 500;

@ApiTags('events')
@ApiBearerAuth()
@Controller('v1/events')
export class EventsController {
  constructor(private readonly streams: EventStreams) {}

  /** What happens to the caller's own things, as it happens. */
  @Get()
  @ApiOperation({ summary: 'Follow what happens to your own things, as server-sent events' })
  @EventStreamed()
  async followEvents(
    @CurrentActor() actor: Learner,
    @Req() { method, stillMay }: ApiRequest,
    @Res() reply: FastifyReply,
    @LastEventId() cursor?: EventCursor,
  ): Promise<void> {
    const stream = method === 'HEAD' ? '' : await this.streams.follow(actor, stillMay!, cursor);
    if (stream) stream.once('close', () => setTimeout(() => reply.raw.destroy(), GRACE_MS).unref());
    // Not returned: Nest would read it through three streams of its own, which are half of the memory of one that is open.
    void reply.headers({ 'content-type': EVENT_STREAM, 'cache-control': 'no-store', 'x-accel-buffering': 'no' }).send(stream);
  }
}
