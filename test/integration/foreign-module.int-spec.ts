import { randomUUID } from 'node:crypto';
import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { loadSettings } from '@studently/platform';
import { ReadingClub, ReadingClubModule } from '../foreign-app/reading-club';
import { createTestDatabase, sql, type TestDatabase } from '../support/database';

describe('DC-2 a Nest application that is not ours', () => {
  let database: TestDatabase;
  let app: INestApplicationContext;
  let club: ReadingClub;
  beforeAll(async () => {
    database = await createTestDatabase();
    const settings = loadSettings({
      DATABASE_URL: database.url,
      REDIS_URL: process.env['TEST_REDIS_URL'],
      STUDENTLY_DATA_DIR: process.env['TEST_DATA_DIR'],
    });
    const module = ReadingClubModule.on(settings, { url: database.url, embedded: false });
    app = await NestFactory.createApplicationContext(module, { logger: ['error'] });
    club = app.get(ReadingClub);
  });
  afterAll(async () => {
    await app?.close();
    await database?.drop();
  });
  const join = () => club.join(`${randomUUID()}@example.org`, 'a very long password', 'Ada');

  it('DC-2 dispatches typed commands and queries without HTTP', async () => {
    const ada = await join();
    expect(ada.role).toBe('STUDENT');
    expect(await club.nameOf(ada)).toBe('Ada');
    const { chatId, readToken } = await club.ask(ada, 'Middlemarch', 'Who is Dorothea?');
    expect(await club.questionsIn(ada, chatId, readToken)).toEqual(['Who is Dorothea?']);
  });

  it('is held to the same rules: other learners are not there, errors have their code', async () => {
    const [ada, ben] = [await join(), await join()];
    const { chatId } = await club.ask(ada, 'Middlemarch', 'Who is Dorothea?');
    await expect(club.questionsIn(ben, chatId)).rejects.toMatchObject({ kind: 'not-found', code: 'NOT_FOUND' });
    await expect(club.nameOf({ ...ben, userId: ada.userId.replace(/.$/, 'z') })).rejects.toThrow('uuid');
    await expect(club.join('x@example.org', 'too short', 'Eve')).rejects.toMatchObject({ code: 'PASSWORD_POLICY' });
  });

  it('DC-5 is audited like everybody', async () => {
    const ada = await join();
    await club.ask(ada, 'Emma', 'Why?');
    const audit = await sql<{ action: string }>(
      database.adminUrl,
      'select action from audit_events where actor_id = $1 order by id',
      [ada.userId],
    );
    expect(audit.map((row) => row.action)).toEqual(['user.registered', 'chat.started', 'chat.message-appended']);
  });
});
