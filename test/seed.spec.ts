import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { EntityMetadata, EntityProperty } from '@mikro-orm/core';
import { MikroORM } from '@mikro-orm/postgresql';
import { Chat, ChatMessage } from '../libs/ai-interactions/src/domain/chat.entity';
import { Document } from '../libs/ai-interactions/src/domain/document.entity';
import { Profile } from '../libs/identity/src/domain/profile.entity';
import { Session } from '../libs/identity/src/domain/session.entity';
import { Subscription } from '../libs/identity/src/domain/subscription.entity';
import { EmailClaim, User } from '../libs/identity/src/domain/user.entity';
import { ormOptions } from '../libs/platform/src/persistence/connection';
import { Progress } from '../libs/study/src/domain/progress.entity';
import { StudyItem } from '../libs/study/src/domain/study-item.entity';

interface Field {
  name: string;
  type: string;
  attributes: string;
}

/** The prisma models of a Markdown text. */
function prismaModels(markdown: string): Record<string, Field[]> {
  const models: Record<string, Field[]> = {};
  for (const [, block] of markdown.matchAll(/```prisma\n([\s\S]*?)```/g)) {
    for (const [, name, body] of block!.matchAll(/model (\w+) \{\n([\s\S]*?)\n\}/g)) {
      models[name!] = body!
        .split('\n')
        .map((line) => /^\s*(\w+)\s+([\w[\]?]+)\s*(.*?)(?:\s*\/\/.*)?$/.exec(line))
        .filter((match) => match !== null)
        .map(([, field, type, attributes]) => ({ name: field!, type: type!, attributes: attributes! }));
    }
  }
  return models;
}

/** The seed's names for our entities. */
const ENTITIES: Record<string, string> = {
  User: 'User',
  Profile: 'Profile',
  AIChat: 'Chat',
  Document: 'Document',
  StudyData: 'StudyItem',
  Progress: 'Progress',
};

/** Prisma's types as PostgreSQL's; ids and references to them are uuids (ID-1). */
const TYPES: Record<string, RegExp> = {
  String: /^(text|uuid)$/,
  DateTime: /^timestamptz\(3\)$/,
  Json: /^jsonb$/,
  Float: /^double precision$/,
  Role: /^text$/,
};
/** Prisma's defaults as PostgreSQL's. `@updatedAt` is a trigger: raw SQL is covered too (ID-8). */
const DEFAULTS: Record<string, string> = {
  '@default(uuid())': 'uuid_generate_v4()',
  '@default(now())': 'now()',
  '@updatedAt': 'now()',
  '@default(STUDENT)': "'STUDENT'",
};

type Check = (entities: Map<string, EntityMetadata>) => void;
const property = (entities: Map<string, EntityMetadata>, entity: string, name: string) =>
  entities.get(entity)!.properties[name]!;
const owns =
  (entity: string, column: string): Check =>
  (entities) =>
    expect(Object.values(entities.get(entity)!.properties).flatMap((prop) => prop.fieldNames)).toContain(column);

const isNullable =
  (entity: string, name: string, type: string): Check =>
  (entities) =>
    expect(property(entities, entity, name)).toMatchObject({ columnTypes: [type], nullable: true });

/** The text stands sealed in a column beside it; in its own only as long as it is from before sealing. */
const isSealed =
  (entity: string, name: string): Check =>
  (entities) => {
    isNullable(entity, name, 'text')(entities);
    isNullable(entity, `${name}Sealed`, 'bytea')(entities);
  };

/** Where an entity differs from the seed, why, and what stands in its place instead. */
const AGREED: Record<string, { why: string; instead: Check }> = {
  'User.email': {
    why: 'ID-2: unique in any spelling, so the unique key is on the normalised address in user_emails',
    instead: (entities) => {
      expect(property(entities, 'User', 'email').columnTypes).toEqual(['text']);
      expect(property(entities, 'EmailClaim', 'email').primary).toBe(true);
    },
  },
  'User.profile': { why: 'the owning side alone: Profile.user, one per user', instead: owns('Profile', 'user_id') },
  'User.subscription': { why: 'ID-6: the owning side alone: Subscription.user', instead: owns('Subscription', 'user_id') },
  'User.aiChats': { why: 'ID-9: another context; the foreign key is in the database', instead: owns('Chat', 'user_id') },
  'User.documents': { why: 'ID-9: another context; the foreign key is in the database', instead: owns('Document', 'user_id') },
  'User.studyData': { why: 'ID-9: another context; the foreign key is in the database', instead: owns('StudyItem', 'user_id') },
  'Profile.userId': {
    why: 'ID-10: the column behind Profile.user, with the unique constraint profiles_one_per_user',
    instead: (entities) => {
      owns('Profile', 'user_id')(entities);
      expect(entities.get('Profile')!.uniques.map(({ name }) => name)).toEqual(['profiles_one_per_user']);
    },
  },
  'Profile.firstName': { why: 'ID-11: sealed', instead: isSealed('Profile', 'firstName') },
  'Profile.lastName': { why: 'ID-11: sealed', instead: isSealed('Profile', 'lastName') },
  'Document.content': { why: 'AI-8: sealed', instead: isSealed('Document', 'content') },
  'AIChat.messages': {
    why: 'AI-3: rows of chat_messages; the view ai_chats_seed shows them as jsonb[]',
    instead: (entities) => expect(property(entities, 'ChatMessage', 'chat').referencedTableName).toMatch(/chats$/),
  },
  'AIChat.contextVector': { why: 'AI-4: null until embedded', instead: isNullable('Chat', 'contextVector', 'vector(1536)') },
  'AIChat.user': { why: 'ID-9: contexts hold ids; the foreign key is in the database', instead: owns('Chat', 'user_id') },
  'Document.embedding': { why: 'AI-9: null until embedded', instead: isNullable('Document', 'embedding', 'vector(1536)') },
  'Document.user': { why: 'ID-9: contexts hold ids; the foreign key is in the database', instead: owns('Document', 'user_id') },
  'StudyData.lastReviewed': {
    why: 'ST-5: null before the first review',
    instead: isNullable('StudyItem', 'lastReviewed', 'timestamptz(3)'),
  },
  'StudyData.user': {
    why: 'ST-1: contexts hold ids; the foreign key is in the database',
    instead: owns('StudyItem', 'user_id'),
  },
};

const seed = prismaModels(readFileSync(join(__dirname, '../docs/seed.md'), 'utf8'));

describe('The models of docs/seed.md', () => {
  let entities: Map<string, EntityMetadata>;
  beforeAll(async () => {
    const orm = new MikroORM({
      ...ormOptions({ url: 'postgres://nobody@127.0.0.1:1/nothing', embedded: false }, 1),
      entities: [User, EmailClaim, Profile, Subscription, Session, Chat, ChatMessage, Document, StudyItem, Progress],
    });
    entities = new Map([...orm.getMetadata().getAll().values()].map((meta) => [meta.name!, meta]));
  });

  it('are those that we know', () => {
    expect(Object.keys(seed)).toEqual(Object.keys(ENTITIES));
    expect(Object.values(seed).map((fields) => fields.length)).toEqual([11, 6, 8, 7, 8, 6]);
  });

  it('DM-1 DEP-1 are all entities, those too that the seed names without saying what is in them', () => {
    const scalars = ['String', 'DateTime', 'Json', 'Float', 'Vector', 'Role'];
    const named = Object.values(seed).flatMap((fields) => fields.map(({ type }) => type.replace(/[?[\]]/g, '')));
    const models = new Set([...Object.keys(seed), ...named.filter((type) => !scalars.includes(type))]);
    expect([...models].sort()).toEqual(['AIChat', 'Document', 'Profile', 'Progress', 'StudyData', 'Subscription', 'User']);
    for (const model of models) expect([...entities.keys()]).toContain(ENTITIES[model] ?? model);
  });

  const fields = Object.entries(ENTITIES).flatMap(([model, entity]) =>
    seed[model]!.map((field) => ({ field: `${model}.${field.name}`, entity, ...field })),
  );

  it.each(fields.filter(({ field }) => !(field in AGREED)))(
    'DEP-1 $field $type $attributes is a field of the entity',
    ({ entity, name, type, attributes }) => {
      const found: EntityProperty | undefined = entities.get(entity)!.properties[name];
      expect(found).toBeDefined();
      if (/@relation/.test(attributes)) {
        expect(found!.targetMeta!.name).toBe(type);
        return;
      }
      expect(found!.columnTypes).toEqual([expect.stringMatching(TYPES[type]!)]);
      expect(Boolean(found!.nullable)).toBe(type.endsWith('?'));
      expect(Boolean(found!.primary)).toBe(/@id/.test(attributes) || name === 'userId');
      for (const [said, meant] of Object.entries(DEFAULTS)) {
        if (attributes.includes(said)) expect(found!.defaultRaw).toBe(meant);
      }
    },
  );

  it.each(Object.entries(AGREED))('DEP-1 %s differs as agreed', (field, { why, instead }) => {
    const [model, name] = field.split('.');
    expect(seed[model!]!.map((known) => known.name)).toContain(name);
    expect(why).not.toBe('');
    instead(entities);
  });

  it('DEP-1 need no prisma', () => {
    const { dependencies, devDependencies, optionalDependencies } = JSON.parse(
      readFileSync(join(__dirname, '../package.json'), 'utf8'),
    ) as Record<string, Record<string, string>>;
    const names = Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies });
    expect(names).toContain('@mikro-orm/postgresql');
    expect(names.filter((name) => name.includes('prisma'))).toEqual([]);
  });
});
