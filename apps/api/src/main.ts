#!/usr/bin/env node
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Sample } from '@studently/datasets';
import { BootstrapAdmin } from '@studently/identity';
import {
  checkServer,
  ConfigurationError,
  DomainError,
  dropStartUpGarbage,
  endBecauseOf,
  Health,
  loadSettings,
  Migrations,
  servedTarget,
  startEmbeddedPostgres,
  type DatabaseTarget,
  type Settings,
} from '@studently/platform';
import { createApp } from './create-app';
import { embeddingReport, welcome } from './welcome';

/** Whoever is still sending or reading so long after the drain is cut off: an orchestrator would kill the process. */
const LONGEST_END_MS = 20_000;

const refusePort =
  ({ HOST, PORT }: Settings) =>
  (error: Error) => {
    const why = `Cannot listen on ${HOST}:${PORT} (${error.message})`;
    throw new ConfigurationError('PORT_UNUSABLE', `${why}: stop what listens there, or choose another PORT, as PORT=3001.`);
  };

/** Before the database is filled: that takes a while, and the passwords of a sample are shown once. */
async function tryPort(settings: Settings): Promise<void> {
  const probe = createServer();
  const listening = new Promise<void>((resolve, reject) => {
    probe.once('error', reject).listen(settings.PORT, settings.HOST, resolve);
  });
  await listening.catch(refusePort(settings));
  await new Promise((resolve) => probe.close(resolve));
}

interface OpenDatabase {
  target: DatabaseTarget;
  stop?: () => Promise<void>;
}

/** A served database has to be ready; an embedded one is made ready. */
async function openDatabase(settings: Settings): Promise<OpenDatabase> {
  if (settings.DATABASE_URL) return { target: servedTarget(settings.DATABASE_URL) };
  const embedded = await startEmbeddedPostgres(settings.STUDENTLY_DATA_DIR);
  await tryPort(settings);
  if (await isPending(embedded.target)) await new Migrations(embedded.target).up();
  return embedded;
}

async function isPending(target: DatabaseTarget): Promise<boolean> {
  try {
    await checkServer(target);
    return false;
  } catch (error) {
    if (error instanceof ConfigurationError && error.code === 'DB_MIGRATIONS_PENDING') return true;
    throw error;
  }
}

async function bootstrapAdmin(commands: CommandBus, settings: Settings): Promise<void> {
  const { BOOTSTRAP_ADMIN_EMAIL: email, BOOTSTRAP_ADMIN_PASSWORD: password } = settings;
  if (!email || !password) return;
  try {
    await commands.execute(new BootstrapAdmin(email, password));
  } catch (error) {
    if (!(error instanceof DomainError) || error.kind === 'unavailable') throw error;
    const reasons = error.details.faults?.map((fault) => fault.message).join(' ') ?? error.message;
    throw new ConfigurationError('BOOTSTRAP_ADMIN_REFUSED', `The first ADMIN cannot be made: ${reasons}`);
  }
}

/** On where nobody says otherwise and everything is embedded: a newcomer finds something to look at. */
async function prepareSample(app: NestFastifyApplication, settings: Settings): Promise<Sample | undefined> {
  if ((settings.STUDENTLY_SAMPLE ?? (settings.DATABASE_URL ? 'off' : 'on')) === 'off') return undefined;
  return Sample.prepare(app.get(CommandBus), app.get(QueryBus), settings.STUDENTLY_DATA_DIR);
}

async function main(): Promise<void> {
  const settings = loadSettings();
  const { target, stop } = await openDatabase(settings);
  const warnings = await checkServer(target);
  if (!target.embedded && !settings.REDIS_URL) {
    warnings.push('REDIS_URL is not set: run one API process only, as others would not hear of its changes.');
  }
  if (!target.embedded && !settings.MASTER_KEY_FILE) {
    warnings.push(
      `MASTER_KEY_FILE is not set: the master key is ${settings.STUDENTLY_DATA_DIR}/master.key. Every process needs the same file.`,
    );
  }
  for (const warning of warnings) process.stderr.write(`warning: ${warning}\n`);

  const app = await createApp(settings, target);
  const ending = new AbortController();
  const end = async () => {
    if (ending.signal.aborted) return;
    ending.abort();
    app.get(Health).drain(); // readiness is 503 from now on; what is under way, and what still comes, is answered
    await sleep(settings.DRAIN_SECONDS * 1000);
    // Connections that are answered only now would be waited for until their keep-alive ends.
    setInterval(() => app.getHttpServer().closeIdleConnections(), 50).unref();
    setTimeout(() => app.getHttpServer().closeAllConnections(), LONGEST_END_MS).unref();
    await app.close();
    await stop?.();
    process.exit(0);
  };
  process.on('SIGTERM', () => void end());
  process.on('SIGINT', () => void end());

  await app.init();
  const sample = await prepareSample(app, settings);
  await bootstrapAdmin(app.get(CommandBus), settings);
  await dropStartUpGarbage();
  await app.listen(settings.PORT, settings.HOST).catch(refusePort(settings));
  const url = (await app.getUrl()).replace(/^http:/, settings.HTTPS_KEY ? 'https:' : 'http:').replace('[::1]', 'localhost');
  process.stdout.write(welcome(url, target.embedded ? `embedded, data in ${settings.STUDENTLY_DATA_DIR}` : 'served', sample));
  await sample?.finish(embeddingReport(process.stdout), ending.signal).catch((error: unknown) => {
    if (!ending.signal.aborted) process.stderr.write(`warning: The sample is not complete: ${(error as Error).message}\n`);
  });
}

main().catch(endBecauseOf);
