import { randomUUID } from 'node:crypto';
import type { TestLearner } from '../../support/http';
import { vector } from '../../support/operations';

/** One view of somebody, how it is changed, and how new it is. */
export interface Thing {
  /** Where it is read; one of several where the same is shown twice. */
  paths: string[];
  /** How new an answer is. */
  levelOf(body: any): number;
  /** A request that makes it newer by one. Sent again after no answer it does no harm. */
  write(number: number): { method: string; path: string; body: unknown };
  /** How new an acknowledged write has made it. */
  madeBy(body: any, number: number): number;
  /** What PostgreSQL itself says, whoever has been told. $1 is the learner, $2 the id. */
  truth: string;
  id: string;
}

type Created = { body: { id: string } };

const versioned = (path: string, id: string, table: string, change: (number: number) => unknown): Thing => ({
  paths: [path],
  id,
  levelOf: ({ version }) => version,
  write: (number) => ({ method: 'PATCH', path, body: change(number) }),
  madeBy: ({ version }) => version,
  truth: `select version as level from ${table} where user_id = $1 and id = $2`,
});

/** Makes one of each kind of view for a learner. */
export async function makeThings({ id: userId, http }: TestLearner): Promise<Thing[]> {
  const create = async (path: string, body: unknown): Promise<string> => ((await http.post(path, body)) as Created).body.id;
  const card = (id: string = randomUUID()) => ({ id, type: 'flashcard', content: { front: 'bonjour', back: 'good morning' } });
  await http.put(`/v1/users/${userId}/profile`, { firstName: 'Ada', lastName: 'Lovelace' });
  const renamed = await create('/v1/chats', { title: '0' });
  const talked = await create('/v1/chats', { title: '0' });
  const tagged = await create('/v1/study/items', card());
  const reviewed = await create('/v1/study/items', card());
  const document = await create('/v1/documents', { type: 'text', content: 'Leaves are green.', embedding: vector(3) });
  const progress = await create('/v1/progress', { category: 'algebra', score: 0 });
  const profile = `/v1/users/${userId}/profile`;
  return [
    versioned(`/v1/chats/${renamed}`, renamed, 'chats', (number) => ({ title: String(number) })),
    versioned(`/v1/study/items/${tagged}`, tagged, 'study_items', (number) => ({ tags: [`t${number}`] })),
    versioned(`/v1/documents/${document}`, document, 'documents', (number) => ({ title: String(number) })),
    versioned(`/v1/progress/${progress}`, progress, 'progress', (number) => ({ metadata: { number } })),
    {
      ...versioned(profile, userId, 'profiles', (number) => ({ preferences: { number } })),
      paths: [profile, '/v1/users/me'],
      levelOf: (body) => (body.profile ?? body).version,
      truth: 'select version as level from profiles where user_id = $1 and $1 = $2',
    },
    {
      paths: [`/v1/chats/${talked}`],
      id: talked,
      levelOf: ({ messageCount }) => messageCount,
      write: () => ({ method: 'POST', path: `/v1/chats/${talked}/messages`, body: { role: 'user', content: 'Why?' } }),
      madeBy: ({ seq }) => seq,
      truth: 'select message_count as level from chats where user_id = $1 and id = $2',
    },
    {
      paths: [`/v1/study/items/${reviewed}`],
      id: reviewed,
      levelOf: ({ scheduling }) => scheduling.reps,
      write: (number) => ({
        method: 'POST',
        path: `/v1/study/items/${reviewed}/reviews`,
        body: { clientReviewId: String(number), rating: 3 },
      }),
      madeBy: ({ scheduling }) => scheduling.reps,
      truth: 'select reps as level from study_items where user_id = $1 and id = $2',
    },
    {
      // Two are there already. Items have ids that their number makes: one that was not acknowledged is not counted twice.
      paths: ['/v1/study/stats'],
      id: userId,
      levelOf: ({ maturity }) => maturity.new + maturity.learning + maturity.young + maturity.mature,
      write: (number) => ({ method: 'POST', path: '/v1/study/items', body: card(numbered(userId, number)) }),
      madeBy: (_body, number) => number + 2,
      truth: 'select count(*)::int as level from study_items where user_id = $1 and $1 = $2',
    },
  ];
}

const numbered = (userId: string, number: number) => userId.slice(0, -8) + number.toString(16).padStart(8, '0');
