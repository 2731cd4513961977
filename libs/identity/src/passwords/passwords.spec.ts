import { setTimeout as sleep } from 'node:timers/promises';
import { HashingThreads } from './hashing-threads';
import { Passwords } from './passwords';
import { ARGON2ID } from '../domain/password';

const question = { password: 'a very long password', options: ARGON2ID };

describe('Passwords', () => {
  const passwords = new Passwords(true);
  afterAll(() => passwords.onApplicationShutdown());

  it('ID-3 SEC-9 are kept as argon2id with at least the parameters of OWASP, salted', async () => {
    const [first, second] = await Promise.all([1, 2].map(() => passwords.hash('a very long password')));
    expect(first).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    expect(second).not.toBe(first);
  });

  it('SEC-9 are verified in any Unicode spelling, in full length, and only against a hash', async () => {
    const long = 'x'.repeat(200);
    const hash = await passwords.hash(`José ${long}`);
    expect(await passwords.verify(`José ${long}`, hash)).toBe(true);
    expect(await passwords.verify(`Jose\u0301 ${long}`, hash)).toBe(true);
    expect(await passwords.verify(`José ${long.slice(1)}`, hash)).toBe(false); // no truncation
    expect(await passwords.verify('nobody has this password', undefined)).toBe(false);
    await expect(passwords.verify('x', '$argon2id$broken')).rejects.toThrow('could not be read');
  });

  it('SEC-9 are hashed beside the event loop, whose thread hardly works for it', async () => {
    const before = process.threadCpuUsage();
    const ofAll = process.cpuUsage();
    await Promise.all(Array.from({ length: 20 }, () => passwords.hash('a very long password')));
    const here = process.threadCpuUsage(before);
    const everywhere = process.cpuUsage(ofAll);
    expect(here.user + here.system).toBeLessThan((everywhere.user + everywhere.system) / 4);
  });
});

describe('Threads that hash', () => {
  it('SEC-9 are as many as asked for; who comes when too many wait is refused at once, the others are answered', async () => {
    const threads = new HashingThreads(2, 3);
    const answers = Array.from({ length: 10 }, () =>
      threads.ask(question).then(
        () => 'hashed',
        (error: { code: string }) => error.code,
      ),
    );
    const refused = await Promise.race([Promise.all(answers.slice(5)), sleep(5, 'too late')]);
    expect(refused).toEqual(Array(5).fill('LOGIN_BUSY')); // two are hashed, three wait
    expect(await Promise.all(answers)).toEqual([...Array(5).fill('hashed'), ...Array(5).fill('LOGIN_BUSY')]);
    await threads.end();
  });

  it('SEC-9 whose turn comes too late is refused, and whoever comes after that is answered', async () => {
    const threads = new HashingThreads(1, 10, 1);
    const answers = await Promise.allSettled([1, 2, 3].map(() => threads.ask(question)));
    expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected']);
    expect(await threads.ask(question)).toEqual({ hash: expect.stringContaining('$argon2id$') });
    await threads.end();
  });

  it('are not waited for by a process that ends', async () => {
    const threads = new HashingThreads(1);
    const asked = [1, 2].map(() => threads.ask(question).catch((error: { code: string }) => error.code));
    await threads.end();
    expect(await Promise.all(asked)).toEqual(['LOGIN_BUSY', 'LOGIN_BUSY']);
    await expect(threads.ask(question)).rejects.toMatchObject({ code: 'LOGIN_BUSY', details: { retryAfterSeconds: 2 } });
  });
});
