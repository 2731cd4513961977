import { StartChat, GetChat } from '@studently/ai-interactions';
import { TestContexts } from './support/contexts';
import { randomUUID } from 'node:crypto';

describe('bus', () => {
  let contexts: TestContexts;
  beforeAll(async () => {
    contexts = await TestContexts.start();
  });
  afterAll(() => contexts?.stop());
  it('works', async () => {
    const learner = await contexts.newLearner();
    const id = randomUUID();
    const chat = await contexts.commands.execute(new StartChat(learner, { id, title: 'x' }));
    expect(chat.value.title).toBe('x');
    const view = await contexts.queries.execute(new GetChat(learner, { chatId: id, after: 0, limit: 50 }));
    expect(view.value.id).toBe(id);
  });
});
