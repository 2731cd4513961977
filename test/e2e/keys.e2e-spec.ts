import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiProcess, waysToRun, type WayToRun } from '../support/api-process';
import { dataFolderOf } from '../support/data-folder';
import { sql } from '../support/database';
import { HttpClient, newLearner, type TestLearner } from '../support/http';
import { withClient } from '../support/servers';
import { studently, StudentlyProcess } from '../support/studently';
import { databaseUrlOf, expectProblem, letIdGo, newEmail, newPassword, startOwnRedis, until, type OwnRedis } from './support';

const newMasterKey = (id: string) => `${id} ${randomBytes(32).toString('base64')}\n`;
/** The version of the key that a message is sealed with. */
const VERSION = 'get_byte(content_sealed, 1) * 256 + get_byte(content_sealed, 2)';
const OLD_MESSAGES = 1200;

describe.each(waysToRun)('studently keys, $name', (way) => {
  let place: Awaited<ReturnType<WayToRun['open']>>;
  let settings: NodeJS.ProcessEnv;
  let databaseUrl: string;
  let folder: string;
  let api: ApiProcess;
  let jobs: OwnRedis | undefined;
  const http = () => new HttpClient(api.url);
  const rows = <Row extends object>(text: string) => sql<Row>(databaseUrl, text);
  const keys = async (...args: string[]) => {
    const { code, out, err } = await studently(settings, '--json', 'keys', ...args);
    return { code, err, answer: out === '' ? undefined : JSON.parse(out) };
  };
  const fileOf = (userId: string) => join(folder, 'keys', userId.slice(0, 2), `${userId}.keys`);

  beforeAll(async () => {
    place = await way.open();
    databaseUrl = databaseUrlOf(place.settings);
    settings = { ...place.settings, ...(place.settings['DATABASE_URL'] && { DATABASE_MIGRATION_URL: databaseUrl }) };
    if (way.name !== 'embedded') {
      jobs = await startOwnRedis(way); // its own: the worker of another test would take them
      settings = { ...settings, REDIS_JOBS_URL: jobs.url };
    }
    folder = { ...settings, ...dataFolderOf(settings) }['STUDENTLY_DATA_DIR']!;
    api = await ApiProcess.start(settings);
  }, 300_000);
  afterAll(async () => {
    await api?.stop('SIGKILL');
    await jobs?.stop();
    await place?.close();
  });

  /** A learner with something in nearly every sealed column. */
  async function writer(): Promise<TestLearner & { chat: string; document: string }> {
    const learner = await newLearner(http());
    await learner.http.put(`/v1/users/${learner.id}/profile`, { firstName: 'Ada', lastName: 'Lovelace' });
    const messages = [{ role: 'user', content: 'old message 1' }];
    const chat = await learner.http.post('/v1/chats', { title: 'Old', messages });
    const embedding = Array.from({ length: 1536 }, (_, nr) => (nr === 0 ? 1 : 0));
    const document = await learner.http.post('/v1/documents', { type: 'text', content: 'The moon is a rock.', embedding });
    return { ...learner, chat: chat.body.id, document: document.body.id };
  }

  /** Rows as they were written before there were keys. */
  async function makeReadable({ id, chat, document }: { id: string; chat: string; document: string }): Promise<void> {
    await rows(`
      update profiles set first_name = 'Ada', last_name = 'Lovelace', first_name_sealed = null, last_name_sealed = null
        where user_id = '${id}';
      update documents set content = 'The moon is a rock.', content_sealed = null
        where user_id = '${id}' and id = '${document}';
      update document_passages set content = 'The moon is a rock.', content_sealed = null, lexemes_sealed = null
        where user_id = '${id}' and document_id = '${document}';
      update chat_messages set content = 'old message 1', content_sealed = null where user_id = '${id}';
      insert into chat_messages (user_id, id, chat_id, seq, parent_seq, role, content)
        select '${id}', uuid_generate_v4(), '${chat}', nr, nr - 1, 'user', 'old message ' || nr
        from generate_series(2, ${OLD_MESSAGES}) nr;
      update chats set message_count = ${OLD_MESSAGES} where user_id = '${id}'`);
  }

  /** Reads of everything that is sealed, until told to stop. @returns how many there were, and those that failed */
  function readAllTheTime({ http, id, chat, document }: TestLearner & { chat: string; document: string }, messages: number) {
    let [stopped, reads] = [false, 0];
    const failed: string[] = [];
    const expectRead = ({ status, text }: { status: number; text: string }, wanted: string) => {
      reads += 1;
      if (status !== 200 || !text.includes(wanted)) failed.push(`${status} ${text.slice(0, 200)}, not ${wanted}`);
    };
    const reading = (async () => {
      for (let nr = 0; !stopped; nr = (nr + 7) % messages) {
        expectRead(await http.get(`/v1/chats/${chat}?limit=1&after=${nr}`), `"old message ${nr + 1}"`);
        expectRead(await http.get(`/v1/documents/${document}`), 'The moon is a rock.');
        expectRead(await http.get(`/v1/users/${id}/profile`), 'Lovelace');
        expectRead(await http.post('/v1/documents/search', { text: 'rocks', mode: 'text', k: 1 }), 'The moon is a rock.');
        await sleep(200);
      }
    })();
    return async () => {
      stopped = true;
      await reading;
      return { reads, failed };
    };
  }

  /** Kills the command as soon as it has begun, and says how it ended. */
  async function killed(command: string[], hasBegun: () => Promise<boolean>): Promise<number | null> {
    const under = new StudentlyProcess(settings, ['keys', ...command]);
    await until(hasBegun, 60_000);
    under.child.kill('SIGKILL');
    return (await under.ended).code;
  }

  /** Where sessions are apart the last of the messages cannot be changed before `work` has ended: no command comes to its end. */
  async function holdingLast<T>({ id }: TestLearner, work: () => Promise<T>): Promise<T> {
    if (way.name === 'embedded') return work();
    return withClient(databaseUrl, async (client) => {
      await client.query('begin');
      await client.query(`select from chat_messages where user_id = '${id}' order by id desc limit 1 for update`);
      return work().finally(() => client.query('rollback'));
    });
  }

  it('SEC-6 keys seal seals what was written before there were keys, while the API serves it; killed, it goes on', async () => {
    const ada = await writer();
    const headers = { 'idempotency-key': 'old' };
    const repeat = () => ada.http.post('/v1/progress', { category: 'algebra', score: 50 }, { headers });
    const first = await repeat();
    const [kept] = await rows<{ id: string }>(`select id from idempotency_keys where user_id = '${ada.id}'`);
    await makeReadable(ada);
    await rows(`update idempotency_keys set answer = '${first.text}', answer_sealed = null where id = '${kept!.id}'`);
    const versions = `select id, version, updated_at from documents where user_id = '${ada.id}'
      union all select id, version, updated_at from profiles where user_id = '${ada.id}'
      union all select id, version, updated_at from users where id = '${ada.id}' order by 1`;
    const before = await rows(versions);
    const status = await keys('status');
    expect(status).toMatchObject({ code: 2, answer: { currentMaster: expect.any(String), rotating: 0 } });
    const messages = { column: 'chat_messages.content', readable: OLD_MESSAGES };
    expect(status.answer.columns).toContainEqual(expect.objectContaining(messages));
    expect(await rows('select current_user = session_user as own')).toEqual([{ own: true }]); // embedded, all share a session
    expect((await studently(settings, 'keys', 'status')).out).toMatch(
      /chat_messages\.content +[\d,]+ sealed, 1,200 readable\n/,
    );

    const stop = readAllTheTime(ada, OLD_MESSAGES);
    const one = `select from chat_messages where user_id = '${ada.id}' and content_sealed is not null limit 1`;
    const sealed = async () => (await rows(one)).length > 0;
    expect(await holdingLast(ada, () => killed(['seal'], sealed))).toBeNull();
    const left = (await keys('status')).answer.columns as { column: string; readable: number }[];
    const messagesLeft = left.find(({ column }) => column === 'chat_messages.content')!.readable;
    expect(messagesLeft).toBeGreaterThan(0);
    expect(messagesLeft).toBeLessThan(OLD_MESSAGES);
    const open = left.reduce((sum, { readable }) => sum + readable, 0);
    expect(await keys('seal')).toEqual({ code: 0, err: '', answer: { sealed: open } });
    const { reads, failed } = await stop();
    expect({ enough: reads > 20, failed }).toEqual({ enough: true, failed: [] });

    expect((await keys('status')).code).toBe(0);
    expect((await studently(settings, 'keys', 'seal')).out).toBe('Nothing to do: all is sealed.\n');
    expect(before).toHaveLength(3);
    expect(await rows(versions)).toEqual(before);
    expect((await repeat()).text).toBe(first.text);
    expect(await rows(`select from idempotency_keys where id = '${kept!.id}' and answer is not null`)).toEqual([]);
  }, 300_000);

  it('SEC-6 keys rotate gives new data keys while the API serves; killed twice, it goes on, and the old keys are gone', async () => {
    const ada = await writer();
    // Each rotation waits half a minute until no process seals with the old key: one way tries one learner, the other all.
    const whose = way.name === 'embedded' ? ['--user', ada.email] : ['--all'];
    const { body: titled } = await ada.http.post('/v1/documents', { type: 'text', content: '# Planets\n\nMars is red.' });
    const worker = jobs && (await ApiProcess.start(settings, 'worker'));
    const status = async () => (await ada.http.get(`/v1/documents/${titled.id}`)).body.status;
    await until(async () => (await status()) === 'ready', 60_000).finally(() => worker?.stop());
    await makeReadable(ada);
    expect((await keys('seal')).code).toBe(0);
    const wrapped = () => readFileSync(fileOf(ada.id), 'utf8');
    const [index, old] = wrapped().trim().split('\n') as [string, string];
    const counts = async () =>
      rows<{ version: number; count: number }>(
        `select ${VERSION} as version, count(*)::int as count from chat_messages where user_id = '${ada.id}' group by 1 order by 1`,
      );

    const stop = readAllTheTime(ada, OLD_MESSAGES);
    expect(await killed(['rotate', ...whose], async () => wrapped().trim().split('\n').length === 3)).toBeNull();
    expect((await keys('status')).answer.rotating).toBeGreaterThan(0);
    const half = async () => (await counts()).length === 2;
    expect(await holdingLast(ada, () => killed(['rotate', ...whose], half))).toBeNull();
    expect((await counts()).map(({ version }) => version)).toEqual([1, 2]);
    const rotation = studently(settings, 'keys', 'rotate', ...whose);
    if (way.name !== 'embedded') {
      await withClient(databaseUrl, async (slow) => {
        await slow.query(`begin; update chats set title = 'Not yet' where user_id = '${ada.id}'`); // may have sealed something
        await until(async () => (await counts()).every(({ version }) => version === 2), 60_000);
        await sleep(20_000);
        expect(wrapped()).toContain(old);
      });
    }
    const rotated = await rotation;
    expect(rotated).toEqual({ code: 0, err: '', out: expect.stringMatching(/^[\d,]+ values sealed anew\.\n$/) }); // all of them
    const { reads, failed } = await stop();
    expect({ enough: reads > 20, failed }).toEqual({ enough: true, failed: [] });

    expect(await counts()).toEqual([{ version: 2, count: OLD_MESSAGES }]);
    const found = await ada.http.post('/v1/documents/search', { text: 'Mars', mode: 'text', k: 1 });
    expect(found.body.items[0].passage).toMatchObject({ headings: ['Planets'], text: expect.stringContaining('Mars is red.') });
    expect(wrapped()).toContain(index);
    expect(wrapped()).not.toContain(old);
    expect((await keys('status')).answer.rotating).toBe(0);
    if (way.name === 'embedded') return;
    const late = 'data:text/javascript,globalThis.now=Date.now;Date.now=()=>now()-3600000';
    const behind = await ApiProcess.start({ ...settings, NODE_OPTIONS: `--import=${late}` });
    const message = { role: 'user', content: 'by a process whose clock is an hour behind' };
    const http = new HttpClient(behind.url).as(ada.token);
    const sent = await http.post(`/v1/chats/${ada.chat}/messages`, message).finally(() => behind.stop());
    expect(sent.status).toBe(201);
    expect(await counts()).toEqual([{ version: 2, count: OLD_MESSAGES + 1 }]);
  }, 300_000);

  it('SEC-6 keys rotate-master wraps all keys anew while the API serves; killed, it goes on, and the old line may go', async () => {
    const ada = await writer();
    await until(async () => existsSync(fileOf(ada.id)));
    const master = join(folder, 'master.key');
    const [oldLine, newLine] = [readFileSync(master, 'utf8'), newMasterKey('master-2')];
    const learners = await Promise.all(Array.from({ length: 15 }, () => writer()));
    writeFileSync(master, newLine + oldLine);
    await api.stop();
    api = await api.restart();
    const reader = { ...ada, http: http().as(ada.token) };

    const stop = readAllTheTime(reader, 1);
    const wrappedBy = (id: string) =>
      learners.filter((learner) => readFileSync(fileOf(learner.id), 'utf8').includes(`"master":"${id}"`)).length;
    expect(await killed(['rotate-master'], async () => wrappedBy('master-2') > 0)).toBeNull();
    const status = await keys('status');
    expect(status.answer).toMatchObject({ currentMaster: 'master-2' });
    expect(await keys('rotate-master')).toMatchObject({ code: 0, err: '' });
    const { reads, failed } = await stop();
    expect({ enough: reads > 8, failed }).toEqual({ enough: true, failed: [] });

    const { answer } = await keys('status');
    expect(answer.wrappedBy).toEqual({ 'master-2': answer.learners * 2 });
    expect((await studently(settings, 'keys', 'rotate-master')).out).toContain('Older master keys are not needed any more.');
    writeFileSync(master, newLine);
    await api.stop();
    api = await api.restart();
    const shown = await http().as(ada.token).get(`/v1/users/${ada.id}/profile`);
    expect(shown.body).toMatchObject({ firstName: 'Ada', lastName: 'Lovelace' });
  }, 300_000);

  it('SEC-6 a start with another master key or another folder of keys ends with 78, and says what to do', async () => {
    const learner = await writer();
    const current = readFileSync(join(folder, 'master.key'), 'utf8').split(' ')[0]!;
    await api.stop();
    const strange = join(folder, 'strange.key');
    writeFileSync(strange, newMasterKey(current));
    const without = join(folder, 'without.key');
    writeFileSync(without, newMasterKey('another'));
    const wrong: [change: NodeJS.ProcessEnv, code: string, advice: string[]][] = [
      [{ MASTER_KEY_FILE: strange }, 'MASTER_KEY_MISMATCH', [`"${current}"`, 'MASTER_KEY_FILE', 'rotate-master']],
      [{ MASTER_KEY_FILE: without }, 'MASTER_KEY_MISMATCH', [`"${current}"`, 'MASTER_KEY_FILE', 'rotate-master']],
      [{ KEYS_DIR: join(folder, 'elsewhere') }, 'KEYS_DIR_MISMATCH', ['KEYS_DIR', 'backup', 'store-id']],
    ];
    try {
      for (const [change, code, advice] of wrong) {
        const start = await ApiProcess.run({ ...settings, ...change });
        const maintenance = await studently({ ...settings, ...change }, 'keys', 'status');
        expect([start.code, maintenance.code]).toEqual([78, 78]);
        for (const said of [start.output, maintenance.err]) {
          expect(said).toContain(`${code}: `);
          for (const words of advice) expect(said).toContain(words);
          expect(said).not.toMatch(/\n\s+at /);
        }
      }
    } finally {
      api = await api.restart(); // a wrong start has claimed nothing
    }
    const shown = await http().as(learner.token).get(`/v1/documents/${learner.document}`);
    expect(shown.body.content).toBe('The moon is a rock.');
  }, 300_000);

  it("SEC-6 a deleted learner's keys are destroyed: old bytes stay closed, also for somebody new with the same id", async () => {
    const ada = await writer();
    const oldKeys = readFileSync(fileOf(ada.id), 'utf8');
    const [old] = await rows<{ bytes: string }>(
      `select encode(content_sealed, 'hex') as bytes from documents where user_id = '${ada.id}'`,
    );
    expect((await ada.http.delete(`/v1/users/${ada.id}`)).status).toBe(204);
    const worker = jobs && (await ApiProcess.start(settings, 'worker'));
    await until(async () => !existsSync(fileOf(ada.id))).finally(() => worker?.stop());
    expect(readdirSync(join(folder, 'keys', ada.id.slice(0, 2))).filter((name) => name.startsWith(ada.id))).toEqual([]);

    const [email, password] = [newEmail(), newPassword()];
    await letIdGo(databaseUrl, ada.id);
    expect((await http().post('/v1/users', { id: ada.id, email, password })).status).toBe(201);
    const session = await http().post('/v1/sessions', { email, password });
    const again = http().as(session.body.token);
    const { body } = await again.post('/v1/documents', { id: ada.document, type: 'text', content: 'The sea is wet.' });
    expect((await again.get(`/v1/documents/${body.id}`)).body.content).toBe('The sea is wet.');
    const newKeys = readFileSync(fileOf(ada.id), 'utf8').trim().split('\n');
    for (const line of newKeys) expect(oldKeys).not.toContain(line);
    await rows(`update documents set content_sealed = decode('${old!.bytes}', 'hex') where user_id = '${ada.id}'`);
    const { headers } = await again.post('/v1/progress', { category: 'algebra', score: 1 });
    const behindTheCache = { headers: { 'x-read-token': headers.get('x-read-token')! } };
    expectProblem(await again.get(`/v1/documents/${ada.document}`, behindTheCache), 503, 'SEALED_DATA_UNREADABLE');
  }, 120_000);

  it('says what it cannot work with', async () => {
    for (const wrong of [['rotate'], ['rotate', '--all', '--user', 'x']]) {
      const { code, err } = await studently(settings, 'keys', ...wrong);
      expect([wrong, code, err.includes('--help')]).toEqual([wrong, 64, true]);
    }
    const nobody = await studently(settings, 'keys', 'rotate', '--user', 'nobody@example.org');
    expect(nobody).toEqual({ code: 1, out: '', err: 'No user has this address or id.\n' });
  }, 120_000);
});
