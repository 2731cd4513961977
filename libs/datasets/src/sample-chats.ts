import type { MessageRole, NewChat } from '@studently/ai-interactions';
import { knownId } from './known-id';

const turn = (role: MessageRole, content: string) => ({ role, content });

/** Invented, as all that is said in them. */
const CHATS = [
  {
    title: 'Checking what a client sends',
    turns: [
      turn('user', 'My Fastify route crashes when a client leaves out a field. Where should I check the body?'),
      turn(
        'assistant',
        'Give the route a `schema` with a `body`: Fastify then refuses a body that does not fit with 400, and your handler ' +
          'never sees it. The guide "Validation and Serialization" shows the whole of it.',
      ),
      turn('user', 'And the query string?'),
      turn('assistant', 'The same way: `querystring`, `params` and `headers` stand beside `body` in the schema.'),
    ],
  },
  {
    title: 'Three weeks until the vocabulary test',
    turns: [
      turn('user', 'I have 1,000 adjectives to learn and three weeks. How many new ones a day?'),
      turn(
        'assistant',
        'About 50 new cards a day would bring you through all of them, with three or four reviews each on top. If that is more ' +
          'than half an hour, begin with 25: what you have learned well beats what you have only seen.',
      ),
      turn('user', 'Then 25 it is.'),
      turn('assistant', 'Good. Do what is due first, every day: new cards can wait, due ones fade.'),
    ],
  },
];

/** With the same ids at every call, so that starting them twice is once. */
export const sampleChats = (): NewChat[] =>
  CHATS.map(({ title, turns }) => ({
    id: knownId('sample chat', title),
    title,
    messages: turns.map((message, index) => ({ ...message, id: knownId('sample chat', title, String(index)) })),
  }));
