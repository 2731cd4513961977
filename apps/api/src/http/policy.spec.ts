import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROLES } from '@studently/platform';
import { assertComplete } from './policy.check';
import { POLICY, verdictOf, type Rule } from './policy';
import { authorizationPage } from './policy.page';

const PAGE = join(__dirname, '../../../../docs/authorization.md');
const OPENAPI = join(__dirname, '../../../../docs/openapi.json');

describe('the policy table', () => {
  it('SEC-1 is printed as docs/authorization.md (UPDATE_AUTHORIZATION=1 writes it)', () => {
    const wanted = authorizationPage(JSON.parse(readFileSync(OPENAPI, 'utf8')));
    if (process.env['UPDATE_AUTHORIZATION'] === '1') writeFileSync(PAGE, wanted);
    expect(existsSync(PAGE) && readFileSync(PAGE, 'utf8')).toBe(wanted);
  });

  it('SEC-1 lets nobody who is not logged in do what is not open, and nobody but an ADMIN touch what is another’s', () => {
    for (const [operation, rule] of Object.entries<Rule>(POLICY)) {
      if (rule.anonymous) continue;
      expect({ operation, nobody: verdictOf(rule, undefined, 'own') }).toEqual({ operation, nobody: 'login' });
      for (const role of ROLES.filter((role) => role !== 'ADMIN')) {
        expect({ operation, role, other: verdictOf(rule, role, 'other') }).toEqual({ operation, role, other: 'hidden' });
      }
      expect({ operation, service: verdictOf(rule, { scopes: [] }, 'own') }).toEqual({ operation, service: 'deny' });
    }
  });

  it('SEC-1 does not start with a route that it does not know, nor with one that is not there', () => {
    const operations = Object.keys(POLICY);
    expect(() => assertComplete(operations, POLICY)).not.toThrow();
    expect(() => assertComplete([...operations, 'planted'], POLICY)).toThrow('planted has no entry');
    expect(() => assertComplete([...operations, 'constructor'], POLICY)).toThrow('constructor has no entry');
    expect(() => assertComplete([...operations, 'getMe'], POLICY)).toThrow('two operations are called getMe');
    expect(() => assertComplete(operations.slice(1), POLICY)).toThrow(`there is no operation ${operations[0]}`);
  });
});
