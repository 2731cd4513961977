import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { Database, NotFound, ownerOf, View, type Learner } from '@studently/platform';

/** The last message of a branch. */
export interface Leaf {
  id: string;
  seq: number;
  /** How many there are from the first one to this one. */
  messages: number;
  createdAt: string;
}

export interface Leaves {
  items: Leaf[];
}

/** The ends of a chat's branches, newest first: the newest 200 of them. */
export class ListLeaves extends Query<View<Leaves>> {
  constructor(
    readonly actor: Learner,
    readonly chatId: string,
  ) {
    super();
  }
}

const MOST = 200;

/** What nobody answers, and what each message answers: the sequence is dense, so the place in the array is the seq. */
const SQL = `
  select
    array(
      select coalesce(m.parent_seq, 0) from chat_messages m where m.user_id = $1 and m.chat_id = $2 order by m.seq
    ) as parents,
    coalesce((
      select json_agg(leaf) from (
        select m.id, m.seq, iso8601(m.created_at) as "createdAt" from chat_messages m
        where m.user_id = $1 and m.chat_id = $2 and m.seq not in (
          select answer.parent_seq from chat_messages answer
          where answer.user_id = $1 and answer.chat_id = $2 and answer.parent_seq is not null)
        order by m.seq desc limit ${MOST}
      ) leaf
    ), '[]') as leaves
  from chats c where c.user_id = $1 and c.id = $2`;

@QueryHandler(ListLeaves)
export class ListLeavesHandler implements IQueryHandler<ListLeaves> {
  constructor(private readonly database: Database) {}

  async execute({ actor, chatId }: ListLeaves): Promise<View<Leaves>> {
    type Row = { parents: number[]; leaves: Omit<Leaf, 'messages'>[] };
    const [row] = await this.database.query<Row>(actor, SQL, [ownerOf(actor), chatId]);
    if (!row) throw new NotFound('chat');
    const lengths = lengthsOf(row.parents);
    return View.of({ items: row.leaves.map((leaf) => ({ ...leaf, messages: lengths[leaf.seq]! })) });
  }
}

/** By seq, how long the path to each message is. A parent comes before its answers. */
function lengthsOf(parents: readonly number[]): number[] {
  const lengths = [0];
  for (const parent of parents) lengths.push(lengths[parent]! + 1);
  return lengths;
}
