import { IdTaken, translateConstraints, ValidationFailed } from '@studently/platform';
import { DomainError } from '@studently/platform';

export class ParentUnknown extends ValidationFailed {
  constructor() {
    super([{ path: 'parentId', code: 'unknown_parent', message: 'There is no such message in this chat.' }]);
  }
}

export class LeafUnknown extends ValidationFailed {
  constructor() {
    super([{ path: 'leaf', code: 'unknown_leaf', message: 'There is no such message in this chat.' }]);
  }
}

export class ChatTooLong extends DomainError {
  constructor() {
    super(
      'invalid',
      'CHAT_TOO_LONG',
      'The chat is too long to be exported at once: read its messages in pages, with limit and after.',
    );
  }
}

export class UserNotFound extends DomainError {
  constructor() {
    super('not-found', 'USER_NOT_FOUND', 'There is no such user.');
  }
}

translateConstraints({
  chats_pkey: () => new IdTaken(),
  chat_messages_pkey: () => new IdTaken(),
  chats_user_id_fkey: () => new UserNotFound(),
});
