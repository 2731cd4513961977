import { randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { Inject, Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { BACKGROUND } from '@studently/platform';
import { ARGON2ID, assertAcceptable, normalisePassword, type PasswordOwner } from '../domain/password';
import { CommonPasswords } from './common-passwords';
import { HashingThreads } from './hashing-threads';

/** Judges, hashes and verifies passwords. Hashing happens in threads of its own, never on the event loop. */
@Injectable()
export class Passwords implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly threads = new HashingThreads(availableParallelism());
  private readonly common = CommonPasswords.load();
  private nobodysHash?: Promise<string>;

  constructor(@Inject(BACKGROUND) private readonly background: boolean) {}

  /** Before the first login: an unknown address must not take longer only because it is the first. */
  async onApplicationBootstrap(): Promise<void> {
    if (this.background) await this.verify('', undefined);
  }

  async onApplicationShutdown(): Promise<void> {
    await this.threads.end();
  }

  /** @throws PasswordRefused naming each rule that is broken */
  check(password: string, owner: PasswordOwner): void {
    assertAcceptable(password, owner, this.common);
  }

  /** An argon2id hash in PHC format. @throws LoginBusy */
  async hash(password: string): Promise<string> {
    const answer = await this.threads.ask({ password: normalisePassword(password), options: ARGON2ID });
    if ('hash' in answer) return answer.hash;
    throw new Error('A password could not be hashed.');
  }

  /** Without a hash (there is no such user) it takes the same time and is false. @throws LoginBusy */
  async verify(password: string, passwordHash: string | undefined): Promise<boolean> {
    this.nobodysHash ??= this.hash(randomBytes(32).toString('base64'));
    // Also by those who have one: whoever waits for it would be told apart.
    const nobodys = await this.nobodysHash.catch((error: unknown) => {
      this.nobodysHash = undefined;
      throw error;
    });
    const answer = await this.threads.ask({ password: normalisePassword(password), hash: passwordHash ?? nobodys });
    if ('failure' in answer) throw new Error('A password hash could not be read.');
    return passwordHash !== undefined && 'matches' in answer && answer.matches;
  }
}
