import { newCipher } from '../../../../test/support/cipher';
import { Chat } from './chat.entity';

const chat = () => Chat.start('11111111-1111-4111-8111-111111111111', '22222222-2222-4222-8222-222222222222', 'Photosynthesis');
const cipher = newCipher(chat().userId);
const message = (content: string) => ({ id: crypto.randomUUID(), role: 'user' as const, content });

describe('Chat', () => {
  it('AI-3 numbers its messages from 1 without a gap, each an answer to the one before', () => {
    const subject = chat();
    const appended = ['a', 'b', 'c'].map((content) => subject.append(message(content), cipher));
    expect(appended.map(({ seq, parentSeq }) => [seq, parentSeq])).toEqual([
      [1, null],
      [2, 1],
      [3, 2],
    ]);
    expect(subject.messageCount).toBe(3);
  });

  it('SEC-6 keeps what is said sealed, in its own place', () => {
    const appended = chat().append(message('Grass is green.'), cipher);
    expect(appended.text(cipher)).toBe('Grass is green.');
    expect(JSON.stringify(appended) + appended.contentSealed!.toString('latin1')).not.toContain('Grass');
    appended.id = crypto.randomUUID();
    expect(() => appended.text(cipher)).toThrow(expect.objectContaining({ code: 'SEALED_DATA_UNREADABLE' }));
  });

  it('lets a message answer an earlier one', () => {
    const subject = chat();
    subject.append(message('question'), cipher);
    subject.append(message('answer'), cipher);
    expect(subject.append(message('another answer'), cipher, 1).parentSeq).toBe(1);
  });

  it('lets a message begin it anew', () => {
    const subject = chat();
    subject.append(message('question'), cipher);
    expect(subject.append(message('another question'), cipher, null)).toMatchObject({ seq: 2, parentSeq: null });
  });

  it('is archived and pinned since the first time, until that is taken back', () => {
    const subject = chat();
    const [first, second] = [new Date('2026-01-01'), new Date('2026-01-02')];
    subject.change({ archived: true, pinned: true }, first);
    subject.change({ title: 'Leaves', archived: true }, second);
    expect(subject).toMatchObject({ title: 'Leaves', archivedAt: first, pinnedAt: first });
    subject.change({ pinned: false }, second);
    expect(subject).toMatchObject({ title: 'Leaves', archivedAt: first, pinnedAt: null });
    subject.change({ archived: false }, second);
    subject.change({ archived: true }, second);
    expect(subject.archivedAt).toBe(second);
  });

  it('wants one job for many messages, and another one only in case that it was lost', () => {
    const subject = chat();
    const append = () => {
      const { leavesJob } = subject;
      subject.append(message('x'), cipher);
      return leavesJob;
    };
    const left = Array.from({ length: 101 }, append);
    expect(left.flatMap((leavesJob, nr) => (leavesJob ? [nr + 1] : []))).toEqual([1, 51, 101]);
    subject.embeddedCount = 101; // the job has come so far
    expect([append(), append()]).toEqual([true, false]);
  });
});
