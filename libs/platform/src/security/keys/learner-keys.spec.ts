import { execFileSync } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { FileKeyStore } from './file-key-store';
import { LearnerKeys } from './learner-keys';
import { FileMasterKey } from './master-key';
import { openSealedJson } from './sealed-json';

const folder = mkdtempSync(join(tmpdir(), 'studently-keys-'));
afterAll(() => rmSync(folder, { recursive: true }));

const masterFile = join(folder, 'master.key');
const newLine = (id: string) => `${id} ${randomBytes(32).toString('base64')}\n`;
const process_ = async () =>
  new LearnerKeys(await FileMasterKey.open(masterFile, { make: true }), new FileKeyStore(join(folder, 'keys')));
const unreadable = expect.objectContaining({ code: 'SEALED_DATA_UNREADABLE' });
const fileOf = (userId: string) => join(folder, 'keys', userId.slice(0, 2), `${userId}.keys`);

describe('Keys of learners', () => {
  it('SEC-6 of many processes that make the same key at once the first decides, and what each seals all open', async () => {
    for (let round = 0; round < 20; round++) {
      const userId = randomUUID();
      const processes = await Promise.all(Array.from({ length: 8 }, process_));
      const ciphers = await Promise.all(processes.map((keys) => keys.toSeal(userId)));
      const sealed = ciphers.map((cipher) => cipher.seal('documents.content', userId, 'text'));
      for (const cipher of ciphers)
        expect(sealed.map((each) => cipher.open('documents.content', userId, each))).toEqual(Array(8).fill('text'));
    }
    expect(execFileSync('find', [folder, '-name', '*.tmp']).toString()).toBe('');
  });

  it('SEC-6 keys are wrapped, and only their owner may read the files', async () => {
    const userId = randomUUID();
    await (await process_()).toSeal(userId);
    expect(statSync(masterFile).mode & 0o777).toBe(0o600);
    expect(statSync(fileOf(userId)).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, 'keys')).mode & 0o777).toBe(0o700);
    expect(statSync(join(folder, 'keys', userId.slice(0, 2))).mode & 0o777).toBe(0o700);
    const lines = readFileSync(fileOf(userId), 'utf8').trim().split('\n');
    expect(lines.map((line) => Object.keys(JSON.parse(line) as object))).toEqual(
      Array(2).fill(['version', 'master', 'wrapped']),
    );
  });

  it('SEC-6 destroyed, no copy of a key is left, also none of a process that was killed while it wrote', async () => {
    const [keys, userId, other] = [await process_(), randomUUID(), randomUUID()];
    for (const each of [userId, userId.slice(0, 2) + other.slice(2)]) await keys.toSeal(each);
    writeFileSync(`${fileOf(userId)}.${randomUUID()}.tmp`, readFileSync(fileOf(userId)));
    await keys.destroy(userId);
    const left = readdirSync(dirname(fileOf(userId)));
    expect(left.filter((name) => name.includes(userId))).toEqual([]);
    expect(left).toContain(`${userId.slice(0, 2)}${other.slice(2)}.keys`);
    await keys.destroy(randomUUID()); // who has none
  });

  it("SEC-6 without a key nothing opens; the first write makes one; destroyed, nothing of it opens again, and another learner's does", async () => {
    const [keys, userId, other] = [await process_(), randomUUID(), randomUUID()];
    await expect(keys.toOpen(userId)).rejects.toEqual(unreadable);
    const cipher = await keys.toSeal(userId);
    expect(await keys.toOpen(userId)).toBe(cipher);
    const sealed = cipher.seal('documents.content', userId, 'text');
    const kept = (await keys.toSeal(other)).seal('documents.content', userId, 'text');
    await keys.destroy(userId);
    await expect(keys.toOpen(userId)).rejects.toEqual(unreadable);
    expect(() => readFileSync(fileOf(userId))).toThrow('ENOENT');
    const anew = await keys.toSeal(userId);
    expect(() => anew.open('documents.content', userId, sealed)).toThrow(unreadable);
    expect((await keys.toOpen(other)).open('documents.content', userId, kept)).toBe('text');
  });

  it('SEC-6 what another process has destroyed is forgotten in time, also where the clock was put back', async () => {
    const [keys, other, userId] = [await process_(), await process_(), randomUUID()];
    await keys.toSeal(userId);
    await other.destroy(userId);
    const clock = jest.spyOn(Date, 'now').mockReturnValue(Date.now() - 3_600_000);
    const time = jest.spyOn(performance, 'now').mockReturnValue(performance.now() + 10_001);
    await expect(keys.toOpen(userId)).rejects.toEqual(unreadable);
    for (const mocked of [clock, time]) mocked.mockRestore();
  });

  it('SEC-6 a wrapped key of another learner, version or master key is refused', async () => {
    const [keys, one, two] = [await process_(), randomUUID(), randomUUID()];
    await keys.toSeal(one);
    await keys.toSeal(two);
    const stolen = await keys.store.get(one);
    await keys.store.replace(two, stolen!);
    keys.forget(two);
    await expect(keys.toOpen(two)).rejects.toEqual(unreadable);
    await keys.store.replace(
      one,
      stolen!.map((key) => ({ ...key, version: 1 - key.version })),
    );
    keys.forget(one);
    await expect(keys.toOpen(one)).rejects.toEqual(unreadable);
    const another = join(folder, 'another.key');
    writeFileSync(another, newLine('master-1'));
    await keys.store.replace(one, stolen!);
    const stranger = new LearnerKeys(await FileMasterKey.open(another), keys.store);
    await expect(stranger.toOpen(one)).rejects.toEqual(unreadable);
  });

  it.each([
    ['an empty file', ''],
    ['a key that is too short', `master-1 ${randomBytes(31).toString('base64')}`],
    ['a line that is no key', `${newLine('master-1')}oops`],
    ['an id that stands twice', newLine('a') + newLine('a')],
  ])('SEC-6 %s is refused with what to do', async (_, text) => {
    const file = join(folder, 'bad.key');
    writeFileSync(file, text);
    const refusal = expect.objectContaining({
      code: 'MASTER_KEY_UNUSABLE',
      message: expect.stringContaining('openssl rand -base64 32'),
    });
    await expect(FileMasterKey.open(file)).rejects.toEqual(refusal);
  });

  it('SEC-6 a file that was named is not made', async () => {
    await expect(FileMasterKey.open(join(folder, 'none.key'))).rejects.toMatchObject({ code: 'MASTER_KEY_UNUSABLE' });
  });

  it('SEC-6 in JSON what is sealed opens, whatever is around it, and nobody can write what looks so', async () => {
    const [keys, userId, id] = [await process_(), randomUUID(), randomUUID()];
    const sealed = (await keys.toSeal(userId)).seal('chat_messages.content', id, 'He said "\\u0000" 🌱\n');
    const token = `"\\u0000chat_messages.content ${userId} ${id} ${sealed.toString('base64')}"`;
    const forged = JSON.stringify(`\\u0000chat_messages.content ${userId} ${id} AAAA`);
    const json = `{"title":${forged},"content":${token},"n":1.10}`;
    expect(await openSealedJson(keys, json)).toBe(
      `{"title":${forged},"content":${JSON.stringify('He said "\\u0000" 🌱\n')},"n":1.10}`,
    );
    await expect(openSealedJson(keys, json.replace(token, token.replace(id, randomUUID())))).rejects.toEqual(unreadable);
    await expect(openSealedJson(keys, json.replace(token, '"\\u0000what"'))).rejects.toThrow('another form');
  });
});
