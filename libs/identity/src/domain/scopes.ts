/** What a learner may let a teacher read. The policies of the database know the same words (migration 0009). */
export const GRANT_SCOPES = ['progress', 'study', 'documents', 'chats'] as const;
export type GrantScope = (typeof GRANT_SCOPES)[number];

/** What a service account may do for a learner. */
export const SERVICE_SCOPES = [
  'account:read',
  'account:write',
  'subscription:write',
  'chats:read',
  'chats:write',
  'documents:read',
  'documents:write',
  'study:read',
  'study:write',
  'progress:read',
  'progress:write',
] as const;
export type ServiceScope = (typeof SERVICE_SCOPES)[number];
