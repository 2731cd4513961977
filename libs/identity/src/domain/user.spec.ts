import { EmailClaim, User } from './user.entity';
import { LastAdmin } from './identity.errors';
import { newCipher } from '../../../../test/support/cipher';
import { Profile } from './profile.entity';
import { Subscription, type SubscriptionFields } from './subscription.entity';

const ID = '11111111-1111-4111-8111-111111111111';
const user = (role?: 'ADMIN') => User.register(ID, 'Ada@Example.org', '$argon2id$x', role);

describe('A user', () => {
  it('ID-4 is a STUDENT unless somebody says otherwise', () => {
    expect(user().role).toBe('STUDENT');
  });

  it('ID-2 keeps the address as it was written, and claims it in every spelling', () => {
    const ada = User.register(ID, ' Ada@Example.org ', '$argon2id$x');
    expect([ada.email, EmailClaim.of(ada).email]).toEqual(['Ada@Example.org', 'ada@example.org']);
    ada.changeEmail('GRACE@example.org');
    expect([ada.email, EmailClaim.of(ada).email]).toEqual(['GRACE@example.org', 'grace@example.org']);
  });

  it('ends older sessions with a new password or role', () => {
    const ada = user();
    ada.changePassword('$argon2id$y');
    expect([ada.sessionEpoch, ada.passwordHash]).toEqual([2, '$argon2id$y']);
    ada.changeRole('TEACHER', 1);
    expect([ada.sessionEpoch, ada.role]).toEqual([3, 'TEACHER']);
  });

  it.each([
    ['the last ADMIN becomes a STUDENT', 'ADMIN', 'STUDENT', 1, false],
    ['one of two ADMINs becomes a STUDENT', 'ADMIN', 'STUDENT', 2, true],
    ['the last ADMIN stays one', 'ADMIN', 'ADMIN', 1, true],
    ['a STUDENT becomes ADMIN', undefined, 'ADMIN', 0, true],
    ['a STUDENT becomes OPS', undefined, 'OPS', 1, true],
  ] as const)('%s', (_, from, to, admins, allowed) => {
    const ada = user(from);
    if (allowed) {
      ada.changeRole(to, admins);
      expect(ada.role).toBe(to);
    } else {
      expect(() => ada.changeRole(to, admins)).toThrow(LastAdmin);
      expect([ada.role, ada.sessionEpoch]).toEqual(['ADMIN', 1]);
    }
  });

  it.each([
    ['ADMIN', 1, false],
    ['ADMIN', 2, true],
    [undefined, 1, true],
  ] as const)('who is %s may leave when there are %i ADMINs: %s', (role, admins, allowed) => {
    const leave = () => user(role).assertDispensable(admins);
    if (allowed) expect(leave).not.toThrow();
    else expect(leave).toThrow(LastAdmin);
  });
});

describe('A profile', () => {
  const cipher = newCipher(ID);
  const profile = () =>
    Profile.of(
      user(),
      ID,
      { firstName: 'Ada', lastName: 'Lovelace', preferences: { theme: 'dark', size: { font: 1 } } },
      cipher,
    );

  it('ID-11 keeps names in NFC', () => {
    expect(Profile.of(user(), ID, { firstName: 'Jose\u0301', lastName: 'Nu\u0303ez' }, cipher).names(cipher)).toEqual({
      firstName: 'José',
      lastName: 'Nũez',
    });
  });

  it('ID-11 keeps names of 1 to 100 characters, sealed', () => {
    const named = (firstName: string) => Profile.of(user(), ID, { firstName, lastName: 'B' }, cipher);
    expect(named('🌱'.repeat(100)).names(cipher).firstName).toBe('🌱'.repeat(100));
    for (const name of ['', 'a'.repeat(101)]) expect(() => named(name)).toThrow('not valid');
    const sealed = named('Clementine');
    expect(JSON.stringify(sealed) + sealed.firstNameSealed!.toString('latin1')).not.toContain('Clementine');
    [sealed.firstNameSealed, sealed.lastNameSealed] = [sealed.lastNameSealed, sealed.firstNameSealed];
    expect(() => sealed.names(cipher)).toThrow(expect.objectContaining({ code: 'SEALED_DATA_UNREADABLE' }));
  });

  it('ID-12 has an empty object of preferences by default', () => {
    expect(Profile.of(user(), ID, { firstName: 'A', lastName: 'B' }, cipher).preferences).toEqual({});
  });

  it('ID-12 merges preferences in a change and replaces them in a put', () => {
    const changed = profile();
    changed.change({ preferences: { theme: null, size: { line: 2 } } }, cipher);
    expect([changed.names(cipher).firstName, changed.preferences]).toEqual(['Ada', { size: { font: 1, line: 2 } }]);
    changed.replace({ firstName: 'Ada', lastName: 'King', preferences: { theme: 'light' } }, cipher);
    expect([changed.names(cipher).lastName, changed.preferences]).toEqual(['King', { theme: 'light' }]);
  });
});

describe('A subscription', () => {
  const fields = (from: string, to: string): SubscriptionFields => ({
    plan: 'basic',
    status: 'active',
    currentPeriodStart: new Date(from),
    currentPeriodEnd: new Date(to),
    cancelAtPeriodEnd: false,
  });

  it('ID-6 TU-1 has a period that ends after it starts', () => {
    const subscription = Subscription.of(user(), ID, fields('2026-01-01', '2026-01-02'));
    expect([subscription.plan, subscription.externalRef]).toEqual(['basic', null]);
  });

  it.each([
    ['where it starts', '2026-01-01', '2026-01-01'],
    ['before it starts', '2026-01-02', '2026-01-01'],
  ])('ID-6 TU-1 is refused, and left as it was, with a period that ends %s', (_, from, to) => {
    const subscription = Subscription.of(user(), ID, fields('2025-01-01', '2025-02-01'));
    expect(() => subscription.replace(fields(from, to))).toThrow(expect.objectContaining({ code: 'VALIDATION_FAILED' }));
    expect(subscription.currentPeriodStart).toEqual(new Date('2025-01-01'));
  });

  it('ID-6 forgets what a new one does not say', () => {
    const subscription = Subscription.of(user(), ID, { ...fields('2025-01-01', '2025-02-01'), externalRef: 'x' });
    subscription.replace(fields('2025-01-01', '2025-02-01'));
    expect(subscription.externalRef).toBeNull();
  });
});
