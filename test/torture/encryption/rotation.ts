import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { KeyMaintenance, openKeys } from '@studently/platform';
import type { ApiProcess } from '../../support/api-process';
import { HttpClient, newLearner, type TestLearner } from '../../support/http';
import { startApi } from '../../support/platform';
import type { TortureContext } from '../harness/torture';

interface Subject extends TestLearner {
  chat: string;
  document: string;
  said: string[];
}

const LEARNERS = 4;

/** Master and data keys change while learners write and read; each read shows all that was written. */
export async function rotateUnderLoad(
  context: TortureContext,
  adminUrl: string,
  before: ApiProcess,
  settings: NodeJS.ProcessEnv,
): Promise<Record<string, number>> {
  const folder = before.environment['STUDENTLY_DATA_DIR']!;
  const file = join(folder, 'master.key');
  const subjects = await Promise.all(Array.from({ length: LEARNERS }, () => subject(before.url)));
  writeFileSync(file, `master-2 ${randomBytes(32).toString('base64')}\n${readFileSync(file, 'utf8')}`);
  const api = await startApi(context, { ...settings, STUDENTLY_DATA_DIR: folder }); // knows both
  await before.stop();
  const load = { stop: false, reads: 0 };
  const users = Promise.all(
    subjects.map((each) => use(context, { ...each, http: new HttpClient(api.url).as(each.token) }, load)),
  );
  users.catch(() => undefined); // whoever waits for them is told
  const keys = await openKeys({ STUDENTLY_DATA_DIR: folder });
  const target = { url: adminUrl, embedded: false };
  const rewrapped = await KeyMaintenance.run(target, keys, (maintenance) => maintenance.rotateMaster());
  const { sealed: sealedAnew } = await KeyMaintenance.run(target, keys, (maintenance) => maintenance.rotate());
  await sleep(1000);
  load.stop = true;
  await users;
  context.attempt(rewrapped >= LEARNERS && sealedAnew >= LEARNERS * 4, () => `only ${rewrapped}, ${sealedAnew} were rotated`);
  for (const { id } of subjects) {
    const wrapped = await keys.store.get(id);
    const found = wrapped!.map(({ version, master }) => `${version} ${master}`).join();
    context.attempt(found === '0 master-2,2 master-2', () => `a learner's keys are ${found}`);
  }
  return { rewrapped, sealedAnew, readsUnderRotation: load.reads };
}

async function subject(url: string): Promise<Subject> {
  const learner = await newLearner(new HttpClient(url));
  const said = ['Grass is green.'];
  const chat = await learner.http.post('/v1/chats', { title: 'Grass', messages: [{ role: 'user', content: said[0] }] });
  const document = await learner.http.post('/v1/documents', { type: 'text', content: 'The moon is a rock.' });
  await learner.http.put(`/v1/users/${learner.id}/profile`, { firstName: 'Ada', lastName: 'Fernwald' });
  return { ...learner, chat: chat.body.id, document: document.body.id, said };
}

async function use(
  context: TortureContext,
  { http, id, chat, document, said }: Subject,
  load: { stop: boolean; reads: number },
): Promise<void> {
  while (!load.stop) {
    const content = `and ${said.length}`;
    const appended = await http.post(`/v1/chats/${chat}/messages`, { role: 'user', content });
    if (appended.status === 201) said.push(content);
    const answers = [
      await http.get(`/v1/chats/${chat}?limit=200&after=${Math.max(0, said.length - 50)}`),
      await http.get(`/v1/documents/${document}`),
      await http.get(`/v1/users/${id}/profile`),
      await http.post('/v1/documents/search', { text: 'moon', mode: 'text', k: 1 }),
    ] as const;
    const [messages, text, profile, found] = answers.map(({ body }) => body);
    const shown = [messages?.messages?.at(-1)?.content, text?.content, profile?.firstName, found?.items?.[0]?.passage.text];
    const wanted = [said.at(-1), 'The moon is a rock.', 'Ada', 'The moon is a rock.'];
    shown.forEach((value, nr) =>
      context.attempt(value === wanted[nr], () => `read ${answers[nr]!.status} ${String(value)} instead of ${wanted[nr]}`),
    );
    context.attempt(appended.status === 201, () => `write ${appended.status} ${appended.text}`);
    load.reads += answers.length;
    await sleep(20);
  }
}
