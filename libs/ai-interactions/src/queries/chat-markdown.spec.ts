import fc from 'fast-check';
import { markdownOf } from './chat-markdown';
import type { ChatView, MessageView } from './chat.read-model';

const at = '2026-01-01T12:00:00.000Z';
const chatOf = (title: string, messages: Partial<MessageView>[]): ChatView => ({
  ...{
    id: 'c',
    title,
    messageCount: messages.length,
    archivedAt: null,
    pinnedAt: null,
    createdAt: at,
    updatedAt: at,
    version: 1,
  },
  messages: messages.map((message, nr) => ({
    ...{ seq: nr + 1, id: String(nr + 1), parentId: nr === 0 ? null : String(nr), role: 'user', content: '', metadata: {} },
    createdAt: at,
    ...message,
  })),
  nextAfter: null,
});

/** The lines of a text, as Markdown ends them. */
const linesOf = (text: string) => text.split(/\r\n|\r|\n/);
/** What a reader of Markdown takes for the document's own structure: all that is in no quotation. */
const structureOf = (text: string) => linesOf(text).filter((line) => line !== '' && !line.startsWith('>'));
/** The quotations, as they were before. */
const quotationsOf = (text: string) =>
  text
    .slice(0, -1)
    .split(/\n\n## .*\n\n/)
    .slice(1)
    .map((quotation) => quotation.replace(/(^|\r\n|\r|\n)> /g, '$1'));

describe('A chat as Markdown', () => {
  it('has a heading for itself and for each message', () => {
    const chat = chatOf('Photosynthesis', [
      { content: 'Why are leaves green?' },
      { role: 'assistant', content: 'Chlorophyll:\n\n- it absorbs red\n- and blue' },
    ]);
    expect(markdownOf(chat)).toBe(`# Photosynthesis

Begun ${at}, 2 messages.

## 1. user, ${at}

> Why are leaves green?

## 2. assistant, ${at}

> Chlorophyll:
> 
> - it absorbs red
> - and blue
`);
  });

  it('says where a branch begins', () => {
    const chat = chatOf('x', [{}, {}, { parentId: '1' }, { parentId: null }]);
    expect(structureOf(markdownOf(chat)).slice(2)).toEqual([
      `## 1. user, ${at}`,
      `## 2. user, ${at}`,
      `## 3. user, ${at}, answers 1`,
      `## 4. user, ${at}, begins anew`,
    ]);
  });

  it('keeps its structure whatever a message holds, and the message word for word', () => {
    const pieces = [
      '# heading',
      '## 1. user',
      '```',
      '~~~~',
      '> ',
      '---',
      '<!--',
      '</blockquote>',
      '\n',
      '\r',
      '\r\n',
      '    ',
      '- ',
      '[a]: b',
      'x',
    ];
    const content = fc.array(fc.constantFrom(...pieces)).map((parts) => parts.join(''));
    fc.assert(
      fc.property(fc.array(content, { maxLength: 5 }), (contents) => {
        const text = markdownOf(
          chatOf(
            'x',
            contents.map((each) => ({ content: each })),
          ),
        );
        expect(structureOf(text)).toEqual([
          '# x',
          expect.stringMatching(/^Begun/),
          ...contents.map((_, nr) => `## ${nr + 1}. user, ${at}`),
        ]);
        expect(quotationsOf(text)).toEqual(contents);
      }),
    );
  });

  it('has its title in one line, as it is', () => {
    const [title] = linesOf(markdownOf(chatOf(' a\n# b `c` *d* <e> [f](g) #', [])));
    expect(title).toBe('# a \\# b \\`c\\` \\*d\\* \\<e\\> \\[f\\](g) \\#');
  });
});
