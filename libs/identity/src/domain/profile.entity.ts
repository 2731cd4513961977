import { isDeepStrictEqual } from 'node:util';
import { defineEntity, p } from '@mikro-orm/core';
import { mergePatch, type JsonObject } from './merge-patch';
import { checkPreferences } from './preferences';
import { User } from './user.entity';

const ProfileSchema = defineEntity({
  name: 'Profile',
  tableName: 'profiles',
  properties: {
    user: () => p.manyToOne(User).primary().joinColumn('user_id').deleteRule('cascade').foreignKeyName('profiles_user_id_fkey'),
    id: p.uuid().primary().defaultRaw('uuid_generate_v4()'),
    firstName: p.text(),
    lastName: p.text(),
    preferences: p.json<JsonObject>().default('{}'),
    createdAt: p.datetime(3).defaultRaw('now()'),
    updatedAt: p.datetime(3).defaultRaw('now()'),
    version: p.integer().version().default(1),
  },
  uniques: [{ name: 'profiles_one_per_user', properties: ['user'] }],
  checks: [
    { name: 'profiles_first_name_check', expression: 'length(first_name) >= 1 and length(first_name) <= 100' },
    { name: 'profiles_last_name_check', expression: 'length(last_name) >= 1 and length(last_name) <= 100' },
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
  static of(user: User, id: string, fields: ProfileFields): Profile {
    const profile = Object.assign(new Profile(), { user, id });
    profile.replace(fields);
    return profile;
  }

  /** @throws ValidationFailed for preferences that the platform could not go by */
  replace({ firstName, lastName, preferences = {} }: ProfileFields): void {
    checkPreferences(preferences);
    this.firstName = firstName.normalize('NFC');
    this.lastName = lastName.normalize('NFC');
    this.preferences = preferences;
  }

  /** Whether putting `fields` in place would change nothing. */
  holds({ firstName, lastName, preferences = {} }: ProfileFields): boolean {
    return (
      this.firstName === firstName.normalize('NFC') &&
      this.lastName === lastName.normalize('NFC') &&
      isDeepStrictEqual(this.preferences, preferences)
    );
  }

  /** Changes the given fields; `preferences` is a JSON merge patch. */
  change({ firstName = this.firstName, lastName = this.lastName, preferences = {} }: Partial<ProfileFields>): void {
    this.replace({ firstName, lastName, preferences: mergePatch(this.preferences, preferences) as JsonObject });
  }
}
ProfileSchema.setClass(Profile);
