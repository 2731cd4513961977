import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { Database, loadSettings, PlatformModule, UnitOfWork } from '@studently/platform';
import type { Client } from 'pg';
import { personalTables, PUBLISHED } from '../integration/catalog';
import { insertLearner } from '../integration/rows';
import { DATABASE, startServers } from '../support/platform';
import { withClient } from '../support/servers';
import type { TortureContext } from './harness/torture';
import { PooledRequests } from './rls/pooled-requests';

export const promise =
  'requests of 100 learners over one pool of 8 connections, while statements fail, commands abort and connections are killed, see only rows of who asks and all that is published, which nobody else changes';
export const ops = 100_000;
export const shortOps = 2000;

const LEARNERS = 100;
const POOL = 8;
const AT_A_TIME = 64;

export async function run(context: TortureContext): Promise<Record<string, number>> {
  const { postgres, settings } = await startServers(context);
  return attackPool(context, postgres.url(DATABASE), settings['DATABASE_URL']!);
}

/**
 * @param adminUrl the superuser's address of the database that `url` leads to, be it through a pooler
 * @param connections how many the server has for them
 */
export async function attackPool(
  context: TortureContext,
  adminUrl: string,
  url: string,
  connections = POOL,
): Promise<Record<string, number>> {
  const tables = await personalTables(adminUrl);
  const learners = await withClient(adminUrl, async (client) => {
    const ids: string[] = [];
    while (ids.length < LEARNERS) ids.push(await insertLearner(client, tables));
    return ids;
  });
  const app = await context.use(
    () => {
      const platform = PlatformModule.forRoot(
        loadSettings({ DATABASE_URL: url, DATABASE_POOL_SIZE: String(POOL), STUDENTLY_DATA_DIR: context.folder }),
        { url, embedded: false },
        'command',
      );
      return NestFactory.createApplicationContext(platform, { logger: false });
    },
    (started) => started.close(),
  );
  const published = await withClient(adminUrl, publishedRows);
  const requests = new PooledRequests(context, app.get(Database), app.get(UnitOfWork), learners, tables, adminUrl);
  await requests.run(AT_A_TIME);
  await requests.lookAtAllConnections(connections);
  const stillPublished = await withClient(adminUrl, publishedRows);
  context.attempt(stillPublished === published, () => `of what is published there was ${published}, now ${stillPublished}`);
  return { ...requests.counts, ...(await withClient(adminUrl, (client) => lookAtWhatWasWritten(context, client))) };
}

/** How many rows everybody sees, and a checksum of them, by table. */
async function publishedRows(admin: Client): Promise<string> {
  const sums: string[] = [];
  for (const table of PUBLISHED) {
    const { rows } = await admin.query<{ sum: string }>(
      `select count(*) || ' ' || md5(string_agg(t::text, '|' order by t::text)) as sum from ${table} t`,
    );
    sums.push(`${table} ${rows[0]!.sum}`);
  }
  return sums.join(', ');
}

/** What commands have written is in the rows of those who sent them, and nobody else is named for it. */
async function lookAtWhatWasWritten(context: TortureContext, admin: Client): Promise<Record<string, number>> {
  const chats = await admin.query<{ user_id: string; title: string }>(
    `select user_id, title from chats where title <> 'Photosynthesis'`,
  );
  for (const { user_id, title } of chats.rows) {
    context.attempt(user_id === title, () => `the chat of ${user_id} was written by ${title}`);
  }
  const { rows } = await admin.query<{ commands: number; others: number }>(
    `select count(*)::int as commands, count(*) filter (where actor_id is distinct from learner_id)::int as others
     from audit_events where action = 'chat.changed'`,
  );
  const { commands, others } = rows[0]!;
  context.attempt(others === 0 && commands > 0, () => `${others} of ${commands} commands are recorded for somebody else`);
  return { commands };
}
