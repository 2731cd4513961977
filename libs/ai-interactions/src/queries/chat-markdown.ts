import type { ChatView, MessageView } from './chat.read-model';

/** What means something in a line of Markdown. */
const MARKUP = /[\\`*_[\]<>&#~|!$]/g;

/**
 * A chat to be read: its title, and each message as a quotation under a heading of its own. A quotation ends only with a line that
 * does not begin with `>`, so nothing that a message holds (a heading, half a code fence) reaches beyond it; without the `> ` it is
 * the message, word for word.
 */
export function markdownOf(chat: ChatView): string {
  const seqs = new Map(chat.messages.map(({ id, seq }) => [id, seq]));
  const parts = chat.messages.map((message, nr) => section(message, chat.messages[nr - 1]?.id ?? null, seqs));
  return (
    [`# ${inOneLine(chat.title)}`, `Begun ${chat.createdAt}, ${chat.messages.length} messages.`, ...parts].join('\n\n') + '\n'
  );
}

function section(
  { seq, role, createdAt, parentId, content }: MessageView,
  before: string | null,
  seqs: Map<string, number>,
): string {
  const branch = parentId === before ? '' : parentId === null ? ', begins anew' : `, answers ${seqs.get(parentId)}`;
  return `## ${seq}. ${role}, ${createdAt}${branch}\n\n${quoted(content)}`;
}

/** Markdown ends a line at any of these. */
const quoted = (text: string) => text.replace(/^/, '> ').replace(/\r\n|\r|\n/g, '$&> ');

const inOneLine = (text: string) => text.trim().replace(/\s+/g, ' ').replace(MARKUP, '\\$&');
