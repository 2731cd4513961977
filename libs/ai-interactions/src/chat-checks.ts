import { judging, type Check } from '@studently/platform';

interface Chat {
  where: string;
  messages: number;
  last: number;
  counted: number;
}

/** Messages are numbered from 1 without a gap, and the chat knows how many there are. */
const density = judging<Chat>({
  name: 'messages',
  deep: true,
  needs: 'owner',
  sql: `
    select format('user_id = %L and id = %L', c.user_id, c.id) as where, count(m.seq)::int as messages,
      coalesce(max(m.seq), 0) as last, c.message_count as counted
    from chats c left join chat_messages m on m.user_id = c.user_id and m.chat_id = c.id
    group by c.user_id, c.id having count(m.seq) <> c.message_count or coalesce(max(m.seq), 0) <> c.message_count
    order by c.user_id, c.id limit 100`,
  judge: ({ where, messages, last, counted }) =>
    messages === last
      ? {
          severity: 'critical',
          what: `A chat says that it has ${counted} messages, and has ${messages}: the next one cannot be numbered.`,
          mend: `set role studently_owner; update chats set message_count = ${messages}, embedded_count = least(embedded_count, ${messages}) where ${where};`,
        }
      : {
          severity: 'critical',
          what: `A chat has ${messages} messages and the last of them is number ${last}: some are lost.`,
          mend: `set role studently_owner; select * from chats where ${where}; -- and restore its messages from a backup`,
        },
});

/** What messages are found by is made of them. */
const turns = judging<{ rows: number }>({
  name: 'turns',
  deep: true,
  needs: 'owner',
  sql: `select count(*)::int as rows from chat_turns t
        where not exists (select from chat_messages m where m.user_id = t.user_id and m.id = t.id)`,
  judge: ({ rows }) =>
    rows === 0
      ? undefined
      : {
          severity: 'warning',
          what: `${rows.toLocaleString('en')} entries of the search over chats are of messages that are not there.`,
          mend:
            'set role studently_owner; delete from chat_turns t where not exists ' +
            '(select from chat_messages m where m.user_id = t.user_id and m.id = t.id);',
        },
});

/** For `studently doctor --deep`. */
export const CHAT_CHECKS: readonly Check[] = [density, turns];
