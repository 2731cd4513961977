import { isDeepStrictEqual } from 'node:util';
import { defineEntity, p } from '@mikro-orm/core';
import { ValidationFailed, type LearnerCipher } from '@studently/platform';
import { mergePatch, type JsonObject } from './merge-patch';
import { checkPreferences } from './preferences';
import { User } from './user.entity';

const ProfileSchema = defineEntity({
  name: 'Profile',
  tableName: 'profiles',
  properties: {
    user: () => p.manyToOne(User).primary().joinColumn('user_id').deleteRule('cascade').foreignKeyName('profiles_user_id_fkey'),
    id: p.uuid().primary().defaultRaw('uuid_generate_v4()'),
    /** Of rows that are not sealed yet. */
    firstName: p.text().nullable(),
    lastName: p.text().nullable(),
    firstNameSealed: p.blob().nullable().$type<Buffer>(),
    lastNameSealed: p.blob().nullable().$type<Buffer>(),
    preferences: p.json<JsonObject>().default('{}'),
    createdAt: p.datetime(3).defaultRaw('now()'),
    updatedAt: p.datetime(3).defaultRaw('now()'),
    version: p.integer().version().default(1),
  },
  uniques: [{ name: 'profiles_one_per_user', properties: ['user'] }],
  checks: [
    { name: 'profiles_first_name_check', expression: 'length(first_name) >= 1 and length(first_name) <= 100' },
    { name: 'profiles_last_name_check', expression: 'length(last_name) >= 1 and length(last_name) <= 100' },
    { name: 'profiles_first_name_once', expression: 'num_nonnulls(first_name, first_name_sealed) = 1' },
    { name: 'profiles_last_name_once', expression: 'num_nonnulls(last_name, last_name_sealed) = 1' },
    { name: 'profiles_preferences_check', expression: `jsonb_typeof(preferences) = 'object'` },
  ],
});

export interface ProfileFields {
  firstName: string;
  lastName: string;
  preferences?: JsonObject;
}

/** A user's names and preferences. */
export class Profile extends ProfileSchema.class {
  static of(user: User, id: string, fields: ProfileFields, cipher: LearnerCipher): Profile {
    const profile = Object.assign(new Profile(), { user, id });
    profile.replace(fields, cipher);
    return profile;
  }

  /** First and last. @throws SealedDataUnreadable */
  names(cipher: LearnerCipher): { firstName: string; lastName: string } {
    return {
      firstName: this.firstNameSealed ? cipher.open('profiles.first_name', this.id, this.firstNameSealed) : this.firstName!,
      lastName: this.lastNameSealed ? cipher.open('profiles.last_name', this.id, this.lastNameSealed) : this.lastName!,
    };
  }

  /** @throws ValidationFailed for preferences that the platform could not go by */
  replace({ firstName, lastName, preferences = {} }: ProfileFields, cipher: LearnerCipher): void {
    checkPreferences(preferences);
    this.firstNameSealed = cipher.seal('profiles.first_name', this.id, nameOf('firstName', firstName));
    this.lastNameSealed = cipher.seal('profiles.last_name', this.id, nameOf('lastName', lastName));
    this.firstName = this.lastName = null;
    this.preferences = preferences;
  }

  /** Whether putting `fields` in place would change nothing. */
  holds({ firstName, lastName, preferences = {} }: ProfileFields, cipher: LearnerCipher): boolean {
    const names = this.names(cipher);
    return (
      names.firstName === firstName.normalize('NFC') &&
      names.lastName === lastName.normalize('NFC') &&
      isDeepStrictEqual(this.preferences, preferences)
    );
  }

  /** Changes the given fields; `preferences` is a JSON merge patch. */
  change(changes: Partial<ProfileFields>, cipher: LearnerCipher): void {
    const own = this.names(cipher);
    const { firstName = own.firstName, lastName = own.lastName, preferences = {} } = changes;
    this.replace({ firstName, lastName, preferences: mergePatch(this.preferences, preferences) as JsonObject }, cipher);
  }
}
ProfileSchema.setClass(Profile);

const MAX_NAME = 100;

/** The database cannot measure what is sealed. @throws ValidationFailed */
function nameOf(path: string, name: string): string {
  const normalised = name.normalize('NFC');
  const length = [...normalised].length;
  if (length < 1 || length > MAX_NAME)
    throw new ValidationFailed([{ path, code: 'length', message: `A name has 1 to ${MAX_NAME} characters.` }]);
  return normalised;
}
