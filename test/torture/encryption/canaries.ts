import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createClient } from 'redis4';
import type { ApiProcess } from '../../support/api-process';
import { HttpClient, newLearner, type Answer } from '../../support/http';
import { withClient } from '../../support/servers';
import type { TortureContext } from '../harness/torture';

interface Place {
  api: ApiProcess;
  worker: ApiProcess;
  adminUrl: string;
  redisFolder: string;
}

const canary = (what: string) => `${what}${randomBytes(12).toString('hex')}`;

/** Writes what nobody else writes into every sealed field, has it cached, found and answered again, and looks where it lies. */
export async function lookForCanaries(
  context: TortureContext,
  { api, worker, adminUrl, redisFolder }: Place,
): Promise<Record<string, number>> {
  const sealed = ['first', 'last', 'message', 'later', 'document', 'passage', 'imported', 'replied'].map(canary);
  const [first, last, message, later, document, passage, imported, replied] = sealed as [string, ...string[]] & string[];
  const title = canary('title');
  const { http, id } = await newLearner(new HttpClient(api.url));
  const made = async (answer: Promise<Answer>): Promise<string> => {
    const { status, text, body } = await answer;
    if (status >= 300) throw new Error(`Not made: ${status} ${text}`);
    return body?.id;
  };
  const path = `/v1/users/${id}/profile`;
  await made(http.put(path, { firstName: first, lastName: last }));
  const chat = await made(
    http.post(
      '/v1/chats',
      { title, messages: [message, replied].map((content) => ({ role: 'user', content })) },
      { headers: { 'idempotency-key': 'canary' } },
    ),
  );
  await made(http.post(`/v1/chats/${chat}/messages`, { role: 'user', content: later }));
  const embedding = Array.from({ length: 1536 }, (_, nr) => (nr === 0 ? 1 : 0));
  const documents = [
    await made(http.post('/v1/documents', { type: 'text', content: `${document} is a word.` })),
    await made(http.post('/v1/documents', { type: 'text', content: `${passage} is another.`, embedding })),
  ];
  const line = JSON.stringify({ type: 'text', content: `${imported} as well.`, embedding });
  await made(http.post('/v1/documents/bulk', line, { headers: { 'content-type': 'application/x-ndjson' } }));
  await untilEmbedded(http, documents[0]!);
  for (const at of [path, `/v1/users/${id}`, `/v1/chats/${chat}`, ...documents.map((each) => `/v1/documents/${each}`)])
    for (let time = 0; time < 2; time++) await made(http.get(at));
  for (const text of [document!, passage!, imported!]) {
    const found = await http.post('/v1/documents/search', { text, mode: 'text', k: 5 });
    context.attempt(found.body.items.length === 1, () => `a sealed word is found ${found.body.items.length} times`);
  }
  const folders = [await postgresFolder(adminUrl), await savedRedis(api, redisFolder)];
  const places = folders.map((folder) => (text: string) => isIn(folder, text));
  const names = ['PostgreSQL', 'Redis', 'a log'];
  places.push((text) => api.log.includes(text) || worker.log.includes(text));
  for (const text of sealed) {
    places.forEach((holds, nr) => context.attempt(!holds(text), () => `${text} can be read in ${names[nr]}`));
  }
  // Else a search that finds nothing would prove nothing.
  if (!places[0]!(title) || !isIn(redisFolder, id)) throw new Error('What is readable was not found: the search is broken');
  return { canaries: sealed.length };
}

async function untilEmbedded(http: HttpClient, id: string): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    if ((await http.get(`/v1/documents/${id}`)).body.status !== 'pending') return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('The document was not embedded');
}

/** With everything on the disk. */
async function postgresFolder(adminUrl: string): Promise<string> {
  return withClient(adminUrl, async (admin) => {
    await admin.query('checkpoint');
    return (await admin.query<{ data_directory: string }>('show data_directory')).rows[0]!.data_directory;
  });
}

async function savedRedis(api: ApiProcess, folder: string): Promise<string> {
  const client = createClient({ url: api.environment['REDIS_URL'] });
  await client.connect();
  await client.save();
  await client.disconnect();
  return folder;
}

function isIn(folder: string, text: string): boolean {
  try {
    execFileSync('grep', ['-rqaF', text, folder], { stdio: 'ignore' });
    return true;
  } catch (error) {
    if ((error as { status?: number }).status === 1) return false;
    throw error;
  }
}
