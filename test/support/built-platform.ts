import 'reflect-metadata';
import { join } from 'node:path';
import { Module, type INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { ProcessKind } from '@studently/platform';

export type Platform = typeof import('@studently/platform');

@Module({})
class HelperModule {}

/** In a helper process: the built platform alone, with jobs of its own. It starts faster than its source, and is what runs elsewhere. */
export async function startBuiltPlatform(
  settings: NodeJS.ProcessEnv,
  kind: ProcessKind,
  prepare: (app: INestApplication, platform: Platform) => void,
): Promise<INestApplication> {
  const platform = (await import(join(__dirname, '../../dist/libs/platform/src/index.js'))) as Platform;
  const target = { url: settings['DATABASE_URL']!, embedded: false };
  const imports = [platform.PlatformModule.forRoot(platform.loadSettings(settings), target, kind)];
  const app = await NestFactory.create({ module: HelperModule, imports }, new FastifyAdapter(), {
    logger: false,
    abortOnError: false,
  });
  prepare(app, platform);
  await app.init();
  return app;
}
