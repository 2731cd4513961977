import type { DynamicModule } from '@nestjs/common';
import { LoggerModule } from 'nestjs-pino';
import type { Settings } from '../config/config';

/** JSON lines to stdout, without what could be personal. */
export function logging(settings: Settings): DynamicModule {
  return LoggerModule.forRoot({
    forRoutes: [], // one line for each request is written by a hook (LOG_ACCESS); a middleware would cost each of them
    pinoHttp: {
      level: settings.LOG_LEVEL,
      redact: ['req', 'res', '*.password', '*.token', '*.email', '*.authorization'],
    },
  });
}
