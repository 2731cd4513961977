import { ROLES } from '@studently/platform';
import { POLICY, verdictOf, type Owner, type Rule } from './policy';

interface Described {
  paths: Record<string, Record<string, { operationId?: string }>>;
}

const INTRODUCTION = `# Who may do what

Made from \`apps/api/src/http/policy.ts\`, which the API itself goes by (\`UPDATE_AUTHORIZATION=1 npx jest apps/api/src/http/policy.spec.ts\`).
\`test/e2e/authorization.e2e-spec.ts\` sends every cell as a request.

In each cell: what is one's own (or nobody's) / what is somebody else's. **yes** allowed, **403** denied, **404** as if it were not
there, **–** the request cannot name anybody else's. Whoever is not logged in is answered 401, unless the operation is open.
A service account acts for one learner (\`X-Act-As\`) within its scopes, never beyond the learner's own things.
A TEACHER reads what a learner has granted, and nothing else of the learner.
Beneath all of this row-level security holds in the database: see \`docs/adr/0017-authorization.md\`.
`;

/** docs/authorization.md: the table for people. */
export function authorizationPage({ paths }: Described): string {
  const routes = new Map([['index', 'GET /metrics']]);
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, { operationId }] of Object.entries(methods))
      routes.set(operationId!, `${method.toUpperCase()} ${path}`);
  }
  const head = ['Operation', 'Request', ...ROLES, 'Service with', 'Teacher with grant'];
  const rows = Object.entries<Rule>(POLICY).map(([operation, rule]) => [
    operation,
    `\`${routes.get(operation)}\``,
    ...(rule.anonymous ? ROLES.map(() => 'open') : ROLES.map((role) => cell(rule, role))),
    rule.anonymous ? 'open' : [rule.service ?? '–'].flat().join(' and '),
    rule.granted ?? '–',
  ]);
  const lines = [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`);
  return `${INTRODUCTION}\n${lines.join('\n')}\n`;
}

function cell(rule: Rule, role: (typeof ROLES)[number]): string {
  const say = (owner: Owner) => ({ allow: 'yes', deny: '403', hidden: '404', login: '401' })[verdictOf(rule, role, owner)];
  return `${say('own')} / ${rule.other === undefined ? '–' : say('other')}`;
}
