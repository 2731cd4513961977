import { ROLES, type Role } from '@studently/platform';
import type { GrantScope, ServiceScope } from '@studently/identity';

/**
 * Who may do what: the one place where that is decided about a request. An operation without an entry does not start
 * (policy.check.ts). docs/authorization.md is made from it, and test/e2e/authorization.e2e-spec.ts walks it over HTTP.
 */
export interface Rule {
  /** Nobody need be logged in. */
  anonymous?: true;
  /** The roles that may do it with what is their own, or with what is nobody's. */
  own: readonly Role[];
  /** The roles that may do it with what is somebody else's; undefined: the request cannot name anybody else's. */
  other?: readonly Role[];
  /** A TEACHER may read it of a learner who has granted this. */
  granted?: GrantScope;
  /** It shows several users, none of whom it names. */
  showsUsers?: true;
  /** What a service account must have, all of it, to do it for the learner for whom it acts; undefined: no service does. */
  service?: ServiceScope | readonly ServiceScope[];
}

const EVERYBODY = ROLES;
const NOBODY: readonly Role[] = [];
const ADMIN: readonly Role[] = ['ADMIN'];
const PUBLISHERS: readonly Role[] = ['TEACHER', 'ADMIN'];

const open: Rule = { anonymous: true, own: EVERYBODY };
const forAdmin: Rule = { own: ADMIN };
/** One's own things; the request names none. */
const own = (service?: ServiceScope): Rule => ({ own: EVERYBODY, service });
/** One thing by its id. Somebody else's is not there. */
const ownOne = (service?: Rule['service']): Rule => ({ own: EVERYBODY, other: NOBODY, service });
/** One's own account, or for an ADMIN anybody's. */
const account = (service?: ServiceScope): Rule => ({ own: EVERYBODY, other: ADMIN, service });
const accountForAdmin = (service?: ServiceScope): Rule => ({ own: ADMIN, other: ADMIN, service });

/** One thing of one's own, for those who may show it to everybody. Others are denied whatever they name, so nothing is told. */
const publishing: Rule = { own: PUBLISHERS, service: 'documents:write' };

/** Of a learner who has granted it, and of nobody else, read-only. */
const shared = (granted: GrantScope): Rule => ({ own: NOBODY, other: NOBODY, granted });

/** By operation: the method of its controller, which is its operationId in docs/openapi.json. */
export const POLICY = {
  live: open,
  startup: open,
  ready: open,
  index: open, // GET /metrics

  register: open,
  login: open,
  listSessions: own(),
  getSession: own(),
  logout: own(),
  logoutEverywhere: own(),

  list: { own: ADMIN, showsUsers: true }, // GET /v1/users
  getMe: own('account:read'),
  get: account('account:read'),
  change: account(),
  delete: account(),
  changePassword: ownOne(),
  changeRole: accountForAdmin(),
  getProfile: account('account:read'),
  putProfile: account('account:write'),
  changeProfile: account('account:write'),
  deleteProfile: account('account:write'),
  getSubscription: account('account:read'),
  putSubscription: accountForAdmin('subscription:write'),
  deleteSubscription: accountForAdmin('subscription:write'),

  giveGrant: ownOne(),
  listGrants: ownOne(),
  withdrawGrant: ownOne(),
  listLearners: { own: ['TEACHER'] },
  listLearnerProgress: shared('progress'),
  getLearnerProgress: shared('progress'),
  listLearnerItems: shared('study'),
  getLearnerItem: shared('study'),
  listLearnerReviews: shared('study'),
  listLearnerDue: shared('study'),
  getLearnerStats: shared('study'),
  getLearnerForecast: shared('study'),
  listLearnerDocuments: shared('documents'),
  getLearnerDocument: shared('documents'),
  listLearnerChats: shared('chats'),
  getLearnerChat: shared('chats'),

  createServiceAccount: forAdmin,
  listServiceAccounts: forAdmin,
  deleteServiceAccount: forAdmin,
  addServiceKey: forAdmin,
  removeServiceKey: forAdmin,

  followEvents: own(),

  startChat: own('chats:write'),
  listChats: own('chats:read'),
  searchChats: own('chats:read'),
  getChat: ownOne('chats:read'),
  listLeaves: ownOne('chats:read'),
  exportChat: ownOne('chats:read'),
  changeChat: ownOne('chats:write'),
  setContextVector: ownOne('chats:write'),
  deleteChat: ownOne('chats:write'),
  appendMessage: ownOne('chats:write'),
  getContext: ownOne(['chats:read', 'documents:read']),

  addDocument: own('documents:write'),
  listDocuments: own('documents:read'),
  importDocuments: own('documents:write'),
  searchDocuments: own('documents:read'),
  listSharedDocuments: own('documents:read'),
  getDocument: ownOne('documents:read'),
  changeDocument: ownOne('documents:write'),
  deleteDocument: ownOne('documents:write'),
  publishDocument: publishing,
  unpublishDocument: publishing,

  addStudyItem: own('study:write'),
  importStudyItems: own('study:write'),
  listStudyItems: own('study:read'),
  getStudyItem: ownOne('study:read'),
  changeStudyItem: ownOne('study:write'),
  deleteStudyItem: ownOne('study:write'),
  reviewItem: ownOne('study:write'),
  listReviews: ownOne('study:read'),
  undoReview: ownOne('study:write'),
  listDue: own('study:read'),
  getStats: own('study:read'),
  getForecast: own('study:read'),

  recordProgress: own('progress:write'),
  listProgress: own('progress:read'),
  getProgress: ownOne('progress:read'),
  changeProgress: ownOne('progress:write'),
  deleteProgress: ownOne('progress:write'),
} satisfies Record<string, Rule>;

export type Operation = keyof typeof POLICY;

/** Of the caller, of somebody else, or of a learner who has granted the caller the operation's scope. */
export type Owner = 'own' | 'other' | 'granted';
/** deny: 403. hidden: 404, as if it were not there. login: 401. */
export type Verdict = 'allow' | 'deny' | 'hidden' | 'login';

/** Nobody (undefined), a user by role, or a service account by its scopes. */
export type Who = Role | { scopes: readonly string[] } | undefined;

/** One cell of the table. What is one's own or nobody's is denied; of what is somebody else's one may not even know. */
export function verdictOf(rule: Rule, who: Who, owner: Owner): Verdict {
  if (rule.anonymous) return 'allow';
  if (who === undefined) return 'login';
  if (typeof who !== 'string') return verdictOfService(rule, who.scopes, owner);
  if (owner === 'own') return rule.own.includes(who) ? 'allow' : 'deny';
  if (owner === 'granted' && who === 'TEACHER' && rule.granted) return 'allow';
  return rule.other?.includes(who) ? 'allow' : 'hidden';
}

/** Without the scope it is denied whatever it names, which tells nothing. */
function verdictOfService({ service }: Rule, scopes: readonly string[], owner: Owner): Verdict {
  if (service === undefined || ![service].flat().every((scope) => scopes.includes(scope))) return 'deny';
  return owner === 'own' ? 'allow' : 'hidden';
}
