#!/usr/bin/env node
import { setTimeout as sleep } from 'node:timers/promises';
import { CommandBus } from '@nestjs/cqrs';
import { BootstrapAdmin } from '@studently/identity';
import {
  checkServer,
  ConfigurationError,
  Health,
  loadSettings,
  Migrations,
  startEmbeddedPostgres,
  type DatabaseTarget,
  type Settings,
} from '@studently/platform';
import { createApp } from './create-app';

interface OpenDatabase {
  target: DatabaseTarget;
  stop?: () => Promise<void>;
}

/** A served database has to be ready; an embedded one is made ready. */
async function openDatabase(settings: Settings): Promise<OpenDatabase> {
  if (settings.DATABASE_URL) return { target: { url: settings.DATABASE_URL, embedded: false } };
  const embedded = await startEmbeddedPostgres(settings.STUDENTLY_DATA_DIR);
  await new Migrations(embedded.target).up();
  return embedded;
}

async function main(): Promise<void> {
  const settings = loadSettings();
  const { target, stop } = await openDatabase(settings);
  for (const warning of await checkServer(target)) process.stderr.write(`warning: ${warning}\n`);

  const app = await createApp(settings, target);
  let ending = false;
  const end = async () => {
    if (ending) return;
    ending = true;
    app.get(Health).drain(); // readiness is 503 from now on; what is under way, and what still comes, is answered
    await sleep(settings.DRAIN_SECONDS * 1000);
    // Connections that are answered only now would be waited for until their keep-alive ends.
    setInterval(() => app.getHttpServer().closeIdleConnections(), 50).unref();
    await app.close();
    await stop?.();
    process.exit(0);
  };
  process.on('SIGTERM', () => void end());
  process.on('SIGINT', () => void end());

  await app.init();
  const { BOOTSTRAP_ADMIN_EMAIL: email, BOOTSTRAP_ADMIN_PASSWORD: password } = settings;
  if (email && password) await app.get(CommandBus).execute(new BootstrapAdmin(email, password));
  await app.listen(settings.PORT, settings.HOST).catch((error: Error) => {
    throw new ConfigurationError(
      'PORT_UNUSABLE',
      `Cannot listen on ${settings.HOST}:${settings.PORT} (${error.message}): stop what listens there, or choose another PORT.`,
    );
  });
  const url = (await app.getUrl()).replace('[::1]', 'localhost');
  process.stdout.write(
    `\nStudentlyAI data platform is ready (${target.embedded ? `embedded, data in ${settings.STUDENTLY_DATA_DIR}` : 'served'})\n` +
      `  API     ${url}/v1\n  docs    ${url}/docs\n  health  ${url}/health/ready\n  metrics ${url}/metrics\n\n`,
  );
}

main().catch((error: unknown) => {
  if (error instanceof ConfigurationError) {
    process.stderr.write(`${error.code}: ${error.message}\n`);
    process.exit(error.exitCode);
  }
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(1);
});
