import { checkPreferences, PreferencesPatch } from './preferences';
import type { JsonValue } from './merge-patch';
import { newCipher } from '../../../../test/support/cipher';
import { Profile } from './profile.entity';
import { User } from './user.entity';

const ID = '11111111-1111-4111-8111-111111111111';
const faultsOf = (preferences: Record<string, JsonValue>) => {
  try {
    checkPreferences(preferences);
  } catch (error) {
    return (error as { details: { faults: { path: string }[] } }).details.faults.map(({ path }) => path);
  }
  return [];
};

describe('ID-12 Preferences', () => {
  it.each(['UTC', 'Europe/Berlin', 'Asia/Kolkata', 'America/Argentina/Buenos_Aires', 'Etc/GMT+5', 'US/Eastern'])(
    'name a zone: %s',
    (timeZone) => expect(faultsOf({ timeZone })).toEqual([]),
  );

  it.each(['Mars/Olympus', '+02:00', '-0530', '', ' UTC', 'UTC+1', 'x'.repeat(10_000), 7, null, ['UTC'], { name: 'UTC' }])(
    'name no zone: %j',
    (timeZone) => expect(faultsOf({ timeZone })).toEqual(['preferences.timeZone']),
  );

  it.each(['00:00', '04:30', '23:59', 0, 23])('say when days begin: %j', (dayStartsAt) =>
    expect(faultsOf({ dayStartsAt })).toEqual([]),
  );

  it.each(['4:00', '24:00', '12:60', '04:00:00', '', -1, 24, 4.5, null, [4], {}])(
    'do not say when days begin: %j',
    (dayStartsAt) => expect(faultsOf({ dayStartsAt })).toEqual(['preferences.dayStartsAt']),
  );

  it('name every fault, and leave all other keys free', () => {
    expect(faultsOf({ timeZone: 1, dayStartsAt: 'noon', theme: 7 })).toEqual([
      'preferences.timeZone',
      'preferences.dayStartsAt',
    ]);
    expect(faultsOf({ theme: null, timezone: 'mine', size: { font: [1, 'x'] } })).toEqual([]);
  });

  it('have a size, whatever a patch adds to them', () => {
    const most = { theme: 'x'.repeat(64 * 1024 - '{"theme":""}'.length) };
    expect(faultsOf(most)).toEqual([]);
    expect(faultsOf({ ...most, a: 1 })).toEqual(['preferences']);
  });

  it('lose a key by a null in a merge patch', () => {
    expect(PreferencesPatch.parse({ timeZone: null, dayStartsAt: null, theme: null })).toEqual({
      timeZone: null,
      dayStartsAt: null,
      theme: null,
    });
    const cipher = newCipher(ID);
    const user = User.register(ID, 'ada@example.org', '$argon2id$x');
    const profile = Profile.of(
      user,
      ID,
      { firstName: 'A', lastName: 'B', preferences: { timeZone: 'UTC', theme: 'dark' } },
      cipher,
    );
    expect(() => profile.change({ preferences: { timeZone: 'Mars' } }, cipher)).toThrow('not valid');
    profile.change({ preferences: { timeZone: null } }, cipher);
    expect(profile.preferences).toEqual({ theme: 'dark' });
  });
});
