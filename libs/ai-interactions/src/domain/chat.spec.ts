import { Chat } from './chat.entity';

const chat = () => Chat.start('11111111-1111-4111-8111-111111111111', '22222222-2222-4222-8222-222222222222', 'Photosynthesis');
const message = (content: string) => ({ id: crypto.randomUUID(), role: 'user' as const, content });

describe('Chat', () => {
  it('AI-3 numbers its messages from 1 without a gap, each an answer to the one before', () => {
    const subject = chat();
    const appended = ['a', 'b', 'c'].map((content) => subject.append(message(content)));
    expect(appended.map(({ seq, parentSeq }) => [seq, parentSeq])).toEqual([
      [1, null],
      [2, 1],
      [3, 2],
    ]);
    expect(subject.messageCount).toBe(3);
  });

  it('lets a message answer an earlier one', () => {
    const subject = chat();
    subject.append(message('question'));
    subject.append(message('answer'));
    expect(subject.append(message('another answer'), 1).parentSeq).toBe(1);
  });
});
