import { randomUUID } from 'node:crypto';
import { AppendMessage, StartChat } from '@studently/ai-interactions';
import type { Learner } from '@studently/platform';
import { Client } from 'pg';
import { TestContexts } from '../support/contexts';
import { sql } from '../support/database';

const APPENDS = 40;

describe('AI-3 Appending to a chat of 5,000 messages', () => {
  let contexts: TestContexts;
  let ada: Learner;
  beforeAll(async () => {
    contexts = await TestContexts.start();
    await contexts.silence();
    ada = await contexts.newLearner();
  });
  afterAll(() => contexts?.stop());
  afterEach(() => jest.restoreAllMocks());

  async function chatOf(messages: number): Promise<string> {
    const id = randomUUID();
    await contexts.commands.execute(new StartChat(ada, { id, title: 'A chat' }));
    await sql(
      contexts.database.adminUrl,
      `insert into chat_messages (user_id, chat_id, seq, parent_seq, role, content)
       select $1, $2, n, nullif(n - 1, 0), 'user', repeat('x', 500) from generate_series(1, $3::int) n`,
      [ada.userId, id, messages],
    );
    await sql(contexts.database.adminUrl, 'update chats set message_count = $2 where id = $1', [id, messages]);
    return id;
  }
  /**
   * Pages of tables and indexes that the appends of this database have looked at. Only what is sent for each of them counts: of what was
   * sent once the server forgets the rarest, as other databases' statements come, and the sum would fall.
   */
  const pages = async () =>
    (
      await sql<{ count: number }>(
        contexts.database.adminUrl,
        `select sum(shared_blks_hit + shared_blks_read)::int as count from pg_stat_statements
         where dbid = (select oid from pg_database where datname = current_database()) and calls >= $1
           and query not like '%pg_stat_statements%'`,
        [APPENDS],
      )
    )[0]!.count;

  async function costOf(chatId: string): Promise<{ statements: number; pages: number }> {
    const before = await pages();
    const query = jest.spyOn(Client.prototype, 'query');
    for (let nr = 0; nr < APPENDS; nr++) {
      await contexts.commands.execute(
        new AppendMessage(ada, chatId, { id: randomUUID(), role: 'user', content: `message ${nr}` }),
      );
    }
    const statements = query.mock.calls.length;
    query.mockRestore();
    return { statements: statements / APPENDS, pages: ((await pages()) - before) / APPENDS };
  }

  it('takes the same statements, and looks at no more pages, than at 10', async () => {
    const [long, short] = [await chatOf(5000), await chatOf(10)];
    await sql(contexts.database.adminUrl, 'vacuum analyze chat_messages');
    await costOf(short); // what is planned and read for the first time
    const [atTen, atFiveThousand] = [await costOf(short), await costOf(long)];
    expect(atFiveThousand.statements).toBe(atTen.statements);
    expect(atTen.pages).toBeGreaterThan(5); // so that it is not nothing that is compared
    expect(atFiveThousand.pages).toBeLessThanOrEqual(1.25 * atTen.pages);
  });
});
