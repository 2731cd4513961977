import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import {
  AddDocument,
  AppendMessage,
  ChangeDocument,
  CountDocuments,
  DeleteChat,
  DeleteDocument,
  GetChat,
  GetDocument,
  ImportDocuments,
  ListChats,
  ListDocuments,
  readNewDocument,
  ChangeChat,
  StartChat,
} from '@studently/ai-interactions';
import {
  BootstrapAdmin,
  ChangeProfile,
  ChangeUser,
  DeleteProfile,
  DeleteSubscription,
  DeleteUser,
  GetUser,
  ListUsers,
  PutProfile,
  PutSubscription,
  RegisterUser,
} from '@studently/identity';
import type { Learner } from '@studently/platform';
import {
  AddStudyItem,
  ChangeProgress,
  ChangeStudyItem,
  DeleteProgress,
  DeleteStudyItem,
  GetForecast,
  GetProgress,
  GetProgressSeries,
  ImportStudyItems,
  ListDue,
  ListProgress,
  ListReviews,
  ListStudyItems,
  RecordProgress,
  ReviewItem,
  UndoReview,
  type ProgressFilter,
} from '@studently/study';
import { KeepEmbedding, type StoredText } from '../../libs/ai-interactions/src/commands/keep-embedding';
import { LOCAL_MODEL } from '../../libs/ai-interactions/src/embeddings/local-embeddings';
import { wholePassage } from '../../libs/ai-interactions/src/domain/passages';
import { translateDatabaseError } from '../../libs/platform/src/errors/database-errors';
import { TestContexts } from '../support/contexts';
import { sql } from '../support/database';

const page = { limit: 200 };
const message = () => ({ id: randomUUID(), role: 'user' as const, content: 'x' });
const messages = (count: number) => Array.from({ length: count }, message);
const documents = (count: number) =>
  Array.from({ length: count }, (_, nr) => ({
    line: nr + 1,
    bytes: 30,
    value: readNewDocument({ type: 'text', content: `${nr}` }),
  }));
const embedding = { model: LOCAL_MODEL, passages: [{ ...wholePassage('x'), embedding: Array<number>(1536).fill(1) }] };
const gold = {
  plan: 'gold',
  status: 'active' as const,
  currentPeriodStart: new Date('2026-01-01'),
  currentPeriodEnd: new Date('2026-02-01'),
  cancelAtPeriodEnd: false,
};

describe('DM-1 TU-2 create, read, update and delete', () => {
  let contexts: TestContexts;
  let admin: Learner;
  let learner: Learner;
  let chatId: string;
  const document = readNewDocument({ type: 'text', content: 'Grass is green.' });
  const [itemId, progressId] = [randomUUID(), randomUUID()];
  const card = { type: 'flashcard', content: { front: 'a', back: 'b' } };
  beforeAll(async () => {
    contexts = await TestContexts.start();
    await contexts.silence();
    await contexts.commands.execute(new BootstrapAdmin('admin@example.org', randomUUID()));
    const [row] = await sql<{ id: string }>(contexts.database.adminUrl, `select id from users where role = 'ADMIN'`);
    admin = { userId: row!.id, role: 'ADMIN' };
    learner = await contexts.newLearner();
    chatId = randomUUID();
  });
  afterAll(() => contexts?.stop());
  /** Of the document as it is. */
  let read: StoredText | undefined;
  beforeEach(async () => {
    const content = 'select content, content_sealed as "contentSealed" from documents where id = $1';
    [read] = await sql<StoredText>(contexts.database.adminUrl, content, [document.id]);
  });
  afterEach(() => jest.restoreAllMocks());

  const audited = async () =>
    (await sql<{ count: number }>(contexts.database.adminUrl, 'select count(*)::int from audit_events'))[0]!.count;

  /** What the work asks of PostgreSQL, and how many audit rows it leaves. */
  async function costOf(work: () => Promise<unknown>): Promise<{ statements: number; audited: number }> {
    const before = await audited();
    const query = jest.spyOn(Client.prototype, 'query');
    await work();
    const statements = query.mock.calls.length;
    query.mockRestore();
    return { statements, audited: (await audited()) - before };
  }

  // Begin, context, record and commit are four statements of each command; a read is begin, query and commit.
  const commands: [what: string, statements: number, run: () => Promise<unknown>][] = [
    [
      'Profile created',
      9,
      () => contexts.commands.execute(new PutProfile(learner, learner.userId, { firstName: 'A', lastName: 'B' })),
    ],
    ['Profile updated', 8, () => contexts.commands.execute(new ChangeProfile(learner, learner.userId, { firstName: 'C' }))],
    ['Subscription created', 9, () => contexts.commands.execute(new PutSubscription(admin, learner.userId, gold))],
    [
      'Subscription updated',
      8,
      () => contexts.commands.execute(new PutSubscription(admin, learner.userId, { ...gold, plan: 'silver' })),
    ],
    [
      'User updated',
      8,
      () => contexts.commands.execute(new ChangeUser(learner, learner.userId, { email: `${randomUUID()}@example.org` })),
    ],
    ['Chat created', 7, () => contexts.commands.execute(new StartChat(learner, { id: chatId, title: 'Chat' }))],
    ['Message appended', 7, () => contexts.commands.execute(new AppendMessage(learner, chatId, message()))],
    ['Chat updated', 7, () => contexts.commands.execute(new ChangeChat(learner, chatId, { title: 'Renamed' }))],
    ['Study item created', 8, () => contexts.commands.execute(new AddStudyItem(learner, { id: itemId, ...card }))],
    ['Study item updated', 8, () => contexts.commands.execute(new ChangeStudyItem(learner, itemId, { tags: ['latin'] }))],
    [
      'Study item reviewed',
      8,
      () => contexts.commands.execute(new ReviewItem(learner, itemId, { clientReviewId: 'x', rating: 3 })),
    ],
    ['Review undone', 10, () => contexts.commands.execute(new UndoReview(learner, itemId))],
    ['Study item deleted', 6, () => contexts.commands.execute(new DeleteStudyItem(learner, itemId))],
    [
      'Progress created',
      7,
      () => contexts.commands.execute(new RecordProgress(learner, { id: progressId, category: 'algebra', score: 62.5 })),
    ],
    ['Progress updated', 7, () => contexts.commands.execute(new ChangeProgress(learner, progressId, { score: 70 }))],
    ['Progress deleted', 6, () => contexts.commands.execute(new DeleteProgress(learner, progressId))],
    ['Document created', 8, () => contexts.commands.execute(new AddDocument(learner, document))],
    ['Document updated', 7, () => contexts.commands.execute(new ChangeDocument(learner, document.id, { title: 'Grass' }))],
    [
      'Document rewritten',
      9,
      () => contexts.commands.execute(new ChangeDocument(learner, document.id, { content: 'Another.' })),
    ],
    [
      'Document embedded',
      11,
      () => contexts.commands.execute(new KeepEmbedding(learner, document.id, { read: read!, ...embedding })),
    ],
    ['Document deleted', 6, () => contexts.commands.execute(new DeleteDocument(learner, document.id))],
    ['Documents imported', 7, () => contexts.commands.execute(new ImportDocuments(learner, documents(1), 'batch'))],
    ['Chat deleted', 6, () => contexts.commands.execute(new DeleteChat(learner, chatId))],
    ['Profile deleted', 7, () => contexts.commands.execute(new DeleteProfile(learner, learner.userId))],
    ['Subscription deleted', 7, () => contexts.commands.execute(new DeleteSubscription(admin, learner.userId))],
    ['User deleted', 12, () => contexts.commands.execute(new DeleteUser(learner, learner.userId))],
  ];

  it.each(commands)('%s: %i statements at most, one audit row', async (_, most, run) => {
    const cost = await costOf(run);
    expect(cost.audited).toBe(1);
    expect(cost.statements).toBeLessThanOrEqual(most);
    expect(cost.statements).toBeGreaterThanOrEqual(5);
  });

  it('User created: one audit row, and no more statements with a profile than one', async () => {
    const register = (profile?: { firstName: string; lastName: string }) => () => {
      const id = randomUUID();
      return contexts.commands.execute(
        new RegisterUser({}, { id, email: `${id}@example.org`, password: `long enough ${randomUUID()}`, profile }),
      );
    };
    const bare = await costOf(register());
    const full = await costOf(register({ firstName: 'A', lastName: 'B' }));
    expect([bare.audited, full.audited]).toEqual([1, 1]);
    expect(full.statements).toBe(bare.statements + 1);
  });

  it('asks the same of PostgreSQL for one as for two hundred', async () => {
    const [few, many] = [await contexts.newLearner(), await contexts.newLearner()];
    const start = (owner: Learner, count: number) => async () => {
      const id = randomUUID();
      await contexts.commands.execute(new StartChat(owner, { id, title: 'Chat', messages: messages(count) }));
      return id;
    };
    expect(await costOf(start(few, 1))).toEqual(await costOf(start(many, 200)));
    for (let nr = 0; nr < 20; nr++) await start(many, 1)();

    const read = (owner: Learner) => async () => {
      const { items } = (await contexts.queries.execute(new ListChats(owner, {}, page))).value;
      await contexts.queries.execute(new GetChat(owner, { chatId: items.at(-1)!.id, after: 0, limit: 200 }));
    };
    expect((await costOf(read(few))).statements).toBe((await costOf(read(many))).statements);
    const bulk = (count: number) => () => contexts.commands.execute(new ImportDocuments(few, documents(count)));
    expect(await costOf(bulk(1))).toEqual(await costOf(bulk(200)));
    const [listed] = (await contexts.queries.execute(new ListDocuments(few, {}, page))).value.items;
    for (const query of [new ListDocuments(few, {}, page), new GetDocument(few, listed!.id), new CountDocuments(few)]) {
      expect((await costOf(() => contexts.queries.execute<unknown>(query))).statements).toBe(3);
    }
    expect((await costOf(() => contexts.queries.execute(new ListUsers(admin, {}, page)))).statements).toBe(3);
    expect((await costOf(() => contexts.queries.execute(new GetUser(few, few.userId, 'user')))).statements).toBe(3);
  });

  it('reads progress with one statement, and asks for preferences once where a zone is needed', async () => {
    const user = await contexts.newLearner();
    for (let nr = 0; nr < 20; nr++) {
      await contexts.commands.execute(new RecordProgress(user, { id: randomUUID(), category: 'algebra', score: nr }));
    }
    const list = (filter: ProgressFilter) => () => contexts.queries.execute(new ListProgress(user, filter, page));
    const read = { statements: 3, audited: 0 };
    expect(await costOf(list({}))).toEqual(read);
    const [entry] = (await list({})()).value.items;
    expect(await costOf(() => contexts.queries.execute(new GetProgress(user, entry!.id)))).toEqual(read);
    expect(await costOf(list({ from: '2026-01-01' }))).toEqual({ ...read, statements: 6 });
    expect(await costOf(list({ from: '2026-01-01' }))).toEqual(read); // the preferences are cached by now
    expect(await costOf(() => contexts.queries.execute(new GetProgressSeries(user, {}, 'day')))).toEqual(read);
  });

  it('asks the same for an item with one review as for two hundred items, some with as many reviews', async () => {
    const [few, many] = [await contexts.newLearner(), await contexts.newLearner()];
    const reviews = (count: number) =>
      Array.from({ length: count }, (_, nr) => ({ clientReviewId: `${nr}`, rating: 3, reviewedAt: new Date(2020, 0, nr) }));
    const lines = (items: number, each: number) =>
      Array.from({ length: items }, (_, nr) => ({
        line: nr + 1,
        bytes: 1,
        value: { ...card, reviews: reviews(nr ? 1 : each) },
      }));
    const bulk = (owner: Learner, items: number, each: number) => () =>
      contexts.commands.execute(new ImportStudyItems(owner, lines(items, each), 'batch'));
    expect(await costOf(bulk(few, 1, 1))).toEqual(await costOf(bulk(many, 200, 200)));

    const newestOf = async (owner: Learner) => {
      const { items } = (await contexts.queries.execute(new ListStudyItems(owner, {}, page))).value;
      return items.toSorted((a, b) => b.scheduling.reps - a.scheduling.reps)[0]!.id;
    };
    const [one, other] = [await newestOf(few), await newestOf(many)];
    const review = (owner: Learner, id: string, reviewedAt: Date) => () =>
      contexts.commands.execute(new ReviewItem(owner, id, { clientReviewId: `${+reviewedAt}`, rating: 1, reviewedAt }));
    const steps: ((owner: Learner, id: string) => () => Promise<unknown>)[] = [
      (owner, id) => review(owner, id, new Date()),
      (owner, id) => review(owner, id, new Date('2019-01-01')), // which comes before all others
      (owner, id) => () => contexts.commands.execute(new UndoReview(owner, id)),
      (owner) => () => contexts.queries.execute(new ListStudyItems(owner, {}, page)),
      (owner, id) => () => contexts.queries.execute(new ListReviews(owner, id, page)),
      (owner) => () => contexts.queries.execute(new ListDue(owner, 200)),
      (owner) => () => contexts.queries.execute(new GetForecast(owner, 366)),
    ];
    for (const step of steps) expect(await costOf(step(few, one))).toEqual(await costOf(step(many, other)));
    expect((await costOf(() => contexts.queries.execute(new ListReviews(many, other, page)))).statements).toBe(3);
    expect((await costOf(() => contexts.queries.execute(new ListDue(many, 200)))).statements).toBe(3);
  });

  it('ID-10 a second profile of a user is refused by the database, and told as PROFILE_EXISTS', async () => {
    const user = await contexts.newLearner();
    await contexts.commands.execute(new PutProfile(user, user.userId, { firstName: 'A', lastName: 'B' }));
    const second = sql(
      contexts.database.url,
      `insert into profiles (user_id, first_name, last_name) values ($1, 'C', 'D')`,
      [user.userId],
      { role: 'studently_app', userId: user.userId },
    );
    const refusal = await second.catch((error: unknown) => translateDatabaseError(error));
    expect(refusal).toMatchObject({ kind: 'conflict', code: 'PROFILE_EXISTS' });
  });
});
