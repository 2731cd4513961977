import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { SwaggerModule } from '@nestjs/swagger';
import {
  Health,
  HTTP_DURATION,
  ReadLog,
  RedisConnections,
  StartUpLogger,
  type DatabaseTarget,
  type Settings,
} from '@studently/platform';
import { getToken } from '@willsoto/nestjs-prometheus';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { PinoLogger } from 'nestjs-pino';
import { AppModule } from './app.module';
import { SERVER } from './http/hardening';
import { addHooks, requestIdOf } from './http/hooks';
import { describeApi } from './http/openapi';
import { ProblemFilter, refuseConnection } from './http/problem.filter';
import { addReadRecords } from './http/read-records';
import { HttpRateLimits } from './http/rate-limits';

const MAX_BODY_BYTES = 1024 * 1024;
/** A bulk request may take its time; whoever is slower goes on with its Batch-Id. */
const LONGEST_UPLOAD_MS = 30 * 60 * 1000;

/** The application on a database that has been checked; it does not listen yet. */
export async function createApp(settings: Settings, target: DatabaseTarget): Promise<NestFastifyApplication> {
  const problems = new ProblemFilter();
  const adapter = new FastifyAdapter({
    ...(settings.HTTPS_KEY ? { https: { ...SERVER, key: settings.HTTPS_KEY, cert: settings.HTTPS_CERT } } : { http: SERVER }),
    skipMiddie: true, // there is no Nest middleware: hooks cost each request less
    genReqId: requestIdOf,
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: LONGEST_UPLOAD_MS,
    connectionTimeout: 60_000, // without a byte in either direction
    keepAliveTimeout: 72_000,
    forceCloseConnections: 'idle',
    return503OnClosing: false, // who is connected when we end is still answered
    clientErrorHandler: refuseConnection,
    frameworkErrors: (error: Error, request: FastifyRequest, reply: FastifyReply) => problems.send(error, request, reply),
  });
  const app = await NestFactory.create<NestFastifyApplication>(AppModule.forRoot(settings, target), adapter, {
    bufferLogs: true,
    bodyParser: false,
  });
  app.useLogger(app.get(StartUpLogger));
  await app.get(RedisConnections).checkVersions();
  const logger = await app.resolve(PinoLogger);
  const health = app.get(Health);
  addHooks(adapter.getInstance<FastifyInstance>(), {
    duration: app.get(getToken(HTTP_DURATION)),
    access: settings.LOG_ACCESS ? (line) => logger.info(line, 'request') : undefined,
    isDraining: () => health.isDraining,
    rates: app.get(HttpRateLimits),
    problems,
  });
  addReadRecords(adapter.getInstance<FastifyInstance>(), app.get(ReadLog));
  SwaggerModule.setup('docs', app, () => describeApi(app), {
    jsonDocumentUrl: 'openapi.json',
    raw: ['json'], // YAML would be made anew for each request, in 0.15 s
  });
  return app;
}
