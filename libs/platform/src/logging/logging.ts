import type { DynamicModule } from '@nestjs/common';
import { LoggerModule } from 'nestjs-pino';
import type { Settings } from '../config/config';
import { LogFile } from './log-file';

/** JSON lines to stdout, or to LOG_FILE, without what could be personal. */
export function logging(settings: Settings): DynamicModule {
  const options = {
    level: settings.LOG_LEVEL,
    redact: ['req', 'res', '*.password', '*.token', '*.email', '*.authorization'],
  };
  return LoggerModule.forRoot({
    forRoutes: [], // one line for each request is written by a hook (LOG_ACCESS); a middleware would cost each of them
    pinoHttp: settings.LOG_FILE === undefined ? options : [options, new LogFile(settings.LOG_FILE)],
  });
}
