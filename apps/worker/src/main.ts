#!/usr/bin/env node
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import {
  checkServer,
  ConfigurationError,
  dropStartUpGarbage,
  endBecauseOf,
  Health,
  JobsRedis,
  jobsUrlOf,
  loadSettings,
  RedisConnections,
  servedTarget,
  StartUpLogger,
} from '@studently/platform';
import { WorkerModule } from './worker.module';

async function main(): Promise<void> {
  const settings = loadSettings();
  if (!settings.DATABASE_URL || jobsUrlOf(settings) === undefined) {
    throw new ConfigurationError(
      'WORKER_NOT_NEEDED',
      'Without DATABASE_URL and REDIS_URL (or REDIS_JOBS_URL) the API does its jobs itself: start no worker, or set both.',
    );
  }
  const target = servedTarget(settings.DATABASE_URL);
  const warnings = [...(await checkServer(target)), ...(await new JobsRedis(settings).warnings())];
  for (const warning of warnings) process.stderr.write(`warning: ${warning}\n`);

  const app = await NestFactory.create<NestFastifyApplication>(WorkerModule.forRoot(settings, target), new FastifyAdapter(), {
    bufferLogs: true,
    abortOnError: false,
  });
  app.useLogger(app.get(StartUpLogger));
  await app.get(RedisConnections).checkVersions();
  let isEnding = false;
  const end = async () => {
    if (isEnding) return;
    isEnding = true;
    app.get(Health).drain();
    await app.close(); // what runs is finished, or handed back if it takes long
    process.exit(0);
  };
  process.on('SIGTERM', () => void end());
  process.on('SIGINT', () => void end());
  await app.init();
  await dropStartUpGarbage();
  await app.listen(settings.WORKER_PORT, settings.HOST).catch((error: Error) => {
    throw new ConfigurationError(
      'PORT_UNUSABLE',
      `Cannot listen on ${settings.HOST}:${settings.WORKER_PORT} (${error.message}): stop what listens there, or choose another WORKER_PORT.`,
    );
  });
  process.stdout.write(`StudentlyAI worker is ready (health and metrics: ${await app.getUrl()})\n`);
}

main().catch(endBecauseOf);
