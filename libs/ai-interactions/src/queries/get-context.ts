import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { View, type Learner } from '@studently/platform';
import { ChatTurns } from './context/chat-turns';
import { chooseContext, tokensOf, type ContextItem } from './context/choose-context';
import { ContextFinder } from './context/context-finder';
import { loadTokenizer, TOKENIZER } from './context/tokenizer';
import type { DocumentFilter } from './search/document-filter';

export interface ContextRequest {
  /** What the model is to be asked. */
  text: string;
  tokenBudget: number;
  /** The last message of the branch; undefined: the newest message */
  leaf?: string;
  /** Which documents come into question. */
  filter?: DocumentFilter;
}

export interface ChatContext {
  /** In the order in which a model is told. */
  items: ContextItem[];
  /** Of all items together; never more than the budget. */
  tokens: number;
  tokenBudget: number;
  meta: { tokenizer: string; strategy: string; why: string; tookMs: number };
}

/** What to tell a model that is to answer in one of the learner's own chats. @throws LeafUnknown, FilterUnknown */
export class GetContext extends Query<View<ChatContext>> {
  constructor(
    readonly actor: Learner,
    readonly chatId: string,
    readonly request: ContextRequest,
  ) {
    super();
  }
}

/** So many turns are taken for the last ones; further back a turn has to be found. */
const RECENT = 200;
/** Even white space has hardly more bytes to a token. */
const MOST_BYTES_PER_TOKEN = 64;

@QueryHandler(GetContext)
export class GetContextHandler implements IQueryHandler<GetContext> {
  constructor(
    private readonly turns: ChatTurns,
    private readonly finder: ContextFinder,
  ) {}

  async execute({ actor, chatId, request }: GetContext): Promise<View<ChatContext>> {
    const began = performance.now();
    const { text, tokenBudget, leaf, filter } = request;
    const mostBytes = tokenBudget * MOST_BYTES_PER_TOKEN;
    const branch = await this.turns.branch(actor, chatId, leaf);
    const [tokenizer, search, turns, [first]] = await Promise.all([
      loadTokenizer(),
      this.finder.find(actor, { chatId, text, filter, among: branch, mostBytes }),
      this.turns.read(actor, chatId, branch.slice(0, RECENT), mostBytes),
      this.turns.read(actor, chatId, branch.slice(-1), mostBytes),
    ]);
    const instruction = first?.role === 'system' ? first : undefined;
    const items = chooseContext({ turns, instruction, ...search }, tokenBudget, tokenizer);
    const meta = {
      tokenizer: TOKENIZER,
      strategy: search.strategy,
      why: search.why,
      tookMs: Math.round((performance.now() - began) * 10) / 10,
    };
    return View.of({ items, tokens: tokensOf(items), tokenBudget, meta });
  }
}
