import { MikroORM } from '@mikro-orm/postgresql';
import { Chat, ChatMessage } from '../../libs/ai-interactions/src/domain/chat.entity';
import { Document } from '../../libs/ai-interactions/src/domain/document.entity';
import { Profile } from '../../libs/identity/src/domain/profile.entity';
import { Session } from '../../libs/identity/src/domain/session.entity';
import { Subscription } from '../../libs/identity/src/domain/subscription.entity';
import { EmailClaim, User } from '../../libs/identity/src/domain/user.entity';
import { ormOptions } from '../../libs/platform/src/persistence/connection';
import { knownMigrations, Migrations } from '../../libs/platform/src/migrations/migrations';
import { Progress } from '../../libs/study/src/domain/progress.entity';
import { StudyItem, StudyReview } from '../../libs/study/src/domain/study-item.entity';
import { createTestDatabase, sql, type TestDatabase } from '../support/database';
import { describeCatalog, ourTables } from './catalog';

/** Contexts hold each other's ids and never each other's entities: these foreign keys live in the database alone. */
const OF_THE_USER = { column: 'user_id', references: 'users', key: 'id', deleteRule: 'cascade' };
const BETWEEN_CONTEXTS = [
  { table: 'chats', name: 'chats_user_id_fkey', ...OF_THE_USER },
  { table: 'documents', name: 'documents_user_id_fkey', ...OF_THE_USER },
  { table: 'study_items', name: 'study_items_user_id_fkey', ...OF_THE_USER },
  { table: 'progress', name: 'progress_user_id_fkey', ...OF_THE_USER },
  // And those to what has no entity.
  { table: 'documents', name: 'documents_type', column: 'type', references: 'document_types', key: 'type' },
  { table: 'study_items', name: 'study_items_type', column: 'type', references: 'study_item_types', key: 'type' },
];

/** Written by SQL alone: they have no entity. */
const WITHOUT_ENTITY = [
  'audit_events',
  'audit_batches',
  'audit_log',
  'outbox',
  'revoked_sessions',
  'idempotency_keys',
  'import_batches',
  'grants',
  'service_accounts',
  'service_keys',
  'document_types',
  'document_passages',
  'passage_vectors',
  'former_vectors',
  'published_documents',
  'published_passages',
  'vector_spaces',
  'turn_vectors',
  'chat_turns',
  'jobs',
  'master_keys',
  'study_item_types',
  'studently_migrations',
  'studently_migrations_progress',
];

/** The SQL that would bring the database to what the entities say; by the recipe in stack.md. */
async function driftOf(database: TestDatabase): Promise<string> {
  const orm = await MikroORM.init({
    ...ormOptions({ url: database.adminUrl, embedded: false }, 1, true),
    entities: [User, EmailClaim, Profile, Subscription, Session, Chat, ChatMessage, Document, StudyItem, StudyReview, Progress],
    schemaGenerator: {
      ignoreSchema: ['operations'], // without entities
      ignorePolicies: true,
      ignoreTriggers: true,
      ignoreRoutines: true,
      skipTables: WITHOUT_ENTITY,
      skipViews: ['ai_chats_seed', /^pg_stat_statements/],
    },
  });
  try {
    const wanted = orm.schema.getTargetSchema();
    for (const { table, column, references, key, name, ...rules } of BETWEEN_CONTEXTS) {
      wanted.getTable(table)!.getForeignKeys()[name] = {
        constraintName: name,
        columnNames: [column],
        localTableName: `public.${table}`,
        referencedTableName: `public.${references}`,
        referencedColumnNames: [key],
        ...rules,
      };
    }
    orm.schema.getTargetSchema = () => wanted;
    return await orm.schema.getUpdateSchemaSQL({ wrap: false });
  } finally {
    await orm.close(true);
  }
}

const migrationsOf = (database: TestDatabase) => new Migrations({ url: database.adminUrl, embedded: false });

describe('The schema', () => {
  let database: TestDatabase;
  beforeEach(async () => {
    database = await createTestDatabase();
  });
  afterEach(() => database.drop());

  describe('against the entities', () => {
    it('TM-1 has not drifted: the ORM has nothing to change', async () => {
      expect(await driftOf(database)).toBe('');
    });

    it.each([
      ['an added column', 'alter table chats add column planted text', 'planted'],
      ['a dropped index', 'drop index chats_newest', 'chats_newest'],
      ['a dropped check', 'alter table users drop constraint users_email_check', 'users_email_check'],
      ['another default', `alter table users alter column role set default 'ADMIN'`, 'role'],
      ['a lost foreign key', 'alter table chats drop constraint chats_user_id_fkey', 'chats_user_id_fkey'],
      ['a forgotten NOT NULL', 'alter table chat_messages alter column seq drop not null', 'seq'],
      ['an unexpected table', 'create table planted (id int)', 'planted'],
    ])('notices %s', async (_, change, named) => {
      await sql(database.adminUrl, change);
      expect(await driftOf(database)).toContain(named);
    });
  });

  describe('through its migrations', () => {
    it('TM-1 comes about from an empty database, as the template has it', async () => {
      const empty = await createTestDatabase({ empty: true });
      try {
        expect(await migrationsOf(empty).up()).toEqual(knownMigrations());
        expect(await describeCatalog(empty.adminUrl)).toEqual(await describeCatalog(database.adminUrl));
      } finally {
        await empty.drop();
      }
    });

    it('TM-3 goes up, down and up again to the identical catalog', async () => {
      const before = await describeCatalog(database.adminUrl);
      expect(before.length).toBeGreaterThan(100);
      const latestFirst = knownMigrations().reverse();
      expect(await migrationsOf(database).down({ all: true })).toEqual(latestFirst);
      expect(await ourTables(database.adminUrl)).toEqual([]);
      const left = await describeCatalog(database.adminUrl);
      expect(left.filter((line) => !/^(schema|default privileges) /.test(line))).toEqual([]);
      await migrationsOf(database).up();
      expect(await describeCatalog(database.adminUrl)).toEqual(before);
    });

    it.each(knownMigrations().map((_, index) => index + 1))(
      'TM-1 TM-3 comes back to the identical catalog from %i migration(s) earlier',
      async (steps) => {
        const before = await describeCatalog(database.adminUrl);
        const migrations = migrationsOf(database);
        const taken: string[] = [];
        for (let step = 0; step < steps; step++) taken.push(...(await migrations.down()));
        expect(taken).toEqual(knownMigrations().reverse().slice(0, steps));
        expect((await migrations.status()).pending).toEqual(taken.toReversed());
        expect(await describeCatalog(database.adminUrl)).not.toEqual(before);
        expect(await migrations.up()).toEqual(taken.toReversed());
        expect(await describeCatalog(database.adminUrl)).toEqual(before);
      },
    );

    it('is not touched by migrating again', async () => {
      const before = await describeCatalog(database.adminUrl);
      expect(await migrationsOf(database).up()).toEqual([]);
      expect(await describeCatalog(database.adminUrl)).toEqual(before);
    });

    it('is migrated once however many try at the same time', async () => {
      // Both made now: which months the audit log has depends on the day.
      const [one, other] = [await createTestDatabase({ empty: true }), await createTestDatabase({ empty: true })];
      try {
        const applied = await Promise.all([1, 2, 3].map(() => migrationsOf(one).up()));
        expect(applied.flat()).toEqual(knownMigrations());
        await migrationsOf(other).up();
        expect(await describeCatalog(one.adminUrl)).toEqual(await describeCatalog(other.adminUrl));
      } finally {
        await Promise.all([one.drop(), other.drop()]);
      }
    });

    it('loses nothing of a learner when a later migration is taken back and applied again', async () => {
      await sql(database.adminUrl, `insert into users (email, password_hash) values ('ada@example.org', '$argon2id$x')`);
      await migrationsOf(database).down();
      await migrationsOf(database).up();
      expect(await sql(database.adminUrl, 'select email from users')).toEqual([{ email: 'ada@example.org' }]);
    });
  });
});
