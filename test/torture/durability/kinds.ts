/** What a learner has so far, to write more about. */
export interface Belongings {
  chats: string[];
  items: string[];
}

/** A kind of write: what is sent, and how it is found again. Its row bears the name of the write where the database can read it. */
export interface Kind {
  name: string;
  /** How often it is chosen, beside the others. */
  weight: number;
  request(name: string, pick: (of: keyof Belongings) => string): { path: string; body: object };
  /** The id that the answer tells. */
  idOf(body: any): string;
  /** How the audit log calls it. */
  action: string;
  /** Its rows: "name", id, "subject", "effects". */
  rows: string;
}

const idOf = ({ id }: { id: string }) => id;

export const KINDS: readonly Kind[] = [
  {
    name: 'chat',
    weight: 1,
    request: (name) => ({ path: '/v1/chats', body: { title: name } }),
    idOf,
    action: 'chat.started',
    rows: 'select title as name, id, id::text as subject, null::int as effects from chats',
  },
  {
    name: 'message',
    weight: 8,
    request: (name, pick) => ({
      path: `/v1/chats/${pick('chats')}/messages`,
      body: { role: 'user', content: `Why are leaves green? (${name})`, metadata: { name } },
    }),
    idOf,
    action: 'chat.message-appended',
    rows: `select metadata ->> 'name' as name, id, chat_id::text as subject,
             (select count(*)::int from chat_turns t where (t.user_id, t.id) = (m.user_id, m.id)) as effects from chat_messages m`,
  },
  {
    name: 'item',
    weight: 3,
    request: (name) => ({
      path: '/v1/study/items',
      body: { type: 'flashcard', content: { front: 'bonjour', back: 'good morning' }, tags: [name] },
    }),
    idOf,
    action: 'study-item.added',
    rows: 'select tags[1] as name, id, id::text as subject, null::int as effects from study_items',
  },
  {
    name: 'review',
    weight: 8,
    request: (name, pick) => ({
      path: `/v1/study/items/${pick('items')}/reviews`,
      body: { clientReviewId: name, rating: 3, durationMs: 1000 },
    }),
    idOf: ({ reviewId }) => reviewId,
    action: 'study-item.reviewed',
    rows: 'select client_review_id as name, id, item_id::text as subject, null::int as effects from study_reviews',
  },
  {
    name: 'progress',
    weight: 6,
    request: (name) => ({ path: '/v1/progress', body: { category: 'algebra', score: 50, metadata: { name } } }),
    idOf,
    action: 'progress.recorded',
    rows: `select metadata ->> 'name' as name, id, id::text as subject, null::int as effects from progress`,
  },
  {
    name: 'document',
    weight: 2,
    request: (name) => ({
      path: '/v1/documents',
      body: { type: 'text', content: `Chlorophyll is why. (${name})`, metadata: { name } },
    }),
    idOf,
    action: 'document.added',
    rows: `select metadata ->> 'name' as name, id, id::text as subject,
             (select count(*)::int from audit_events e where e.learner_id = d.user_id and e.subject_id = d.id::text
                and e.action = 'document.embedded' and d.status = 'ready') as effects from documents d`,
  },
];
