import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createTestDatabase, sql, type TestDatabase } from '../support/database';
import { ourTables, partitions, personalTables } from './catalog';

/** Personal tables whose key is not (user_id, id), and why. */
const OTHER_KEYS: Record<string, string[]> = {
  users: ['id'], // the user's id is the user_id
  user_emails: ['email'], // an address is unique over all users (docs/adr/0004)
};

/** Tables whose id is no uuid with a default, and why. */
const OTHER_IDS: Record<string, { type: string; default: string | null }> = {
  audit_events: { type: 'bigint', default: null }, // identity: an append-only log in one order
  outbox: { type: 'bigint', default: null }, // identity: a queue
  study_reviews: { type: 'uuid', default: null }, // the hash of its item and the client's id for it
  jobs: { type: 'bigint', default: null }, // identity: a queue
  import_batches: { type: 'uuid', default: null }, // the hash of the caller's Batch-Id
  revoked_sessions: { type: 'uuid', default: null }, // the session's
  chat_turns: { type: 'uuid', default: null }, // the message's
  master_keys: { type: 'text', default: null }, // as the operator has called it
  idempotency_keys: { type: 'uuid', default: null }, // the hash of the caller's key
};

/** Rows for everybody, of nobody: read by all, written by migrations and operators. */
const REFERENCE = ['document_types', 'study_item_types', 'vector_spaces'];

const SELF = "(user_id = (NULLIF(current_setting('app.user_id'::text, true), ''::text))::uuid)";
const ADMIN = "(current_setting('app.role'::text, true) = 'ADMIN'::text)";
const app = '{studently_app}';
const worker = '{studently_worker}';
type Policy = [name: string, command: string, roles: string, using: string | null, check: string | null];
const owner = (table: string): Policy => [`${table}_owner`, 'ALL', '{studently_owner}', 'true', 'true'];
const self = (table: string): Policy => [`${table}_self`, 'ALL', app, SELF, SELF];
const admin = (table: string): Policy => [`${table}_admin`, 'ALL', app, ADMIN, ADMIN];

const both = (condition: string): [string, string] => [condition, condition];
const LEARNER = SELF.replace('app.user_id', 'app.learner_id');
/** What a teacher reads of app.learner_id. Its sub-select names no column of the table: it is evaluated once a statement. */
const granted = (condition: string) =>
  `(${LEARNER} AND (EXISTS ( SELECT\n   FROM grants g\n  WHERE ((g.${LEARNER.slice(1)} AND (g.${SELF.slice(1).replace('user_id', 'teacher_id')}${condition}))))`;
const teacher = (table: string, scope: string): Policy => [
  `${table}_teacher`,
  'SELECT',
  '{studently_teacher}',
  granted(` AND ('${scope}'::text = ANY (g.scopes))`),
  null,
];

/** Everybody reads what some may publish of their own. */
const PUBLISHER = `(${SELF} AND (current_setting('app.role'::text, true) = ANY (ARRAY['TEACHER'::text, 'ADMIN'::text, 'SERVICE'::text])))`;
const published = (table: string): Policy[] => [
  owner(table),
  [`${table}_publish`, 'INSERT', app, null, PUBLISHER],
  [`${table}_read`, 'SELECT', app, 'true', null],
  [`${table}_withdraw`, 'DELETE', app, PUBLISHER, null],
];

const POLICIES: Record<string, Policy[]> = {
  audit_batches: [
    owner('audit_batches'),
    ['audit_batches_read', 'SELECT', worker, 'true', null],
    ['audit_batches_seal', 'INSERT', worker, null, 'true'],
  ],
  audit_events: [
    ['audit_events_append', 'INSERT', '{studently_app,studently_worker}', null, 'true'],
    ['audit_events_dpo', 'SELECT', app, ADMIN.replace('ADMIN', 'DPO'), null],
    owner('audit_events'),
    ['audit_events_read', 'SELECT', worker, 'true', null],
  ],
  audit_log: [owner('audit_log'), ['audit_log_read', 'SELECT', worker, 'true', null]],
  chat_messages: [owner('chat_messages'), self('chat_messages'), teacher('chat_messages', 'chats')],
  chat_turns: [owner('chat_turns'), self('chat_turns')],
  chats: [owner('chats'), self('chats'), teacher('chats', 'chats')],
  document_passages: [owner('document_passages'), self('document_passages'), teacher('document_passages', 'documents')],
  documents: [owner('documents'), self('documents'), teacher('documents', 'documents')],
  grants: [
    owner('grants'),
    self('grants'),
    [
      'grants_teacher',
      'SELECT',
      '{studently_app,studently_teacher}',
      `(${SELF.replace('user_id', 'teacher_id')} AND ${ADMIN.replace('ADMIN', 'TEACHER')})`,
      null,
    ],
  ],
  idempotency_keys: [
    ['idempotency_keys_expired', 'ALL', worker, "(created_at < (now() - '24:00:00'::interval))", 'false'],
    owner('idempotency_keys'),
    self('idempotency_keys'),
  ],
  jobs: [
    ['jobs_append', 'INSERT', app, null, 'true'],
    ['jobs_find', 'SELECT', app, SELF.replace('user_id', 'learner_id'), null],
    ['jobs_finish', 'DELETE', app, SELF.replace('user_id', 'learner_id'), null],
    owner('jobs'),
    ['jobs_worker', 'ALL', worker, 'true', 'true'],
  ],
  master_keys: [
    ['master_keys_append', 'INSERT', worker, null, 'true'],
    owner('master_keys'),
    ['master_keys_read', 'SELECT', worker, 'true', null],
  ],
  import_batches: [
    ['import_batches_expired', 'ALL', worker, "(created_at < (now() - '7 days'::interval))", 'false'],
    owner('import_batches'),
    self('import_batches'),
  ],
  outbox: [
    ['outbox_append', 'INSERT', app, null, 'true'],
    ['outbox_own', 'SELECT', app, '(xid = pg_current_xact_id())', null],
    owner('outbox'),
    ['outbox_relay', 'ALL', worker, 'true', 'true'],
  ],
  profiles: [
    admin('profiles'),
    owner('profiles'),
    self('profiles'),
    ['profiles_teacher', 'SELECT', '{studently_teacher}', granted(''), null],
  ],
  former_vectors: [owner('former_vectors'), self('former_vectors')],
  passage_vectors: [owner('passage_vectors'), self('passage_vectors')],
  turn_vectors: [owner('turn_vectors'), self('turn_vectors')],
  published_documents: published('published_documents'),
  published_passages: published('published_passages'),
  progress: [owner('progress'), self('progress'), teacher('progress', 'progress')],
  revoked_sessions: [owner('revoked_sessions'), ['revoked_sessions_worker', 'ALL', worker, 'true', 'false']],
  service_accounts: [admin('service_accounts'), owner('service_accounts')],
  service_keys: [admin('service_keys'), owner('service_keys')],
  sessions: [
    admin('sessions'),
    ['sessions_expired', 'ALL', worker, '(expires_at < now())', 'false'],
    owner('sessions'),
    self('sessions'),
  ],
  study_items: [owner('study_items'), self('study_items'), teacher('study_items', 'study')],
  study_reviews: [owner('study_reviews'), self('study_reviews'), teacher('study_reviews', 'study')],
  subscriptions: [
    admin('subscriptions'),
    owner('subscriptions'),
    ['subscriptions_self', 'SELECT', app, SELF, null],
    ['subscriptions_service', 'ALL', app, ...both(`(${SELF} AND ${ADMIN.replace('ADMIN', 'SERVICE')})`)],
  ],
  user_emails: [admin('user_emails'), owner('user_emails'), self('user_emails')],
  users: [
    admin('users'),
    owner('users'),
    ['users_self', 'ALL', app, SELF.replace('user_id', 'id'), SELF.replace('user_id', 'id')],
  ],
};

const CRUD = 'DELETE,INSERT,SELECT,UPDATE';
/** Everything that a role other than the owner may do. `table(column)` is a grant on a column, `name()` on a function. */
const GRANTS: Record<string, Record<string, string>> = {
  PUBLIC: {},
  studently_app: {
    ai_chats_seed: 'SELECT',
    audit_events: 'INSERT,SELECT',
    chat_messages: 'INSERT,SELECT',
    chat_turns: 'INSERT,SELECT',
    chats: CRUD,
    document_passages: 'DELETE,INSERT,SELECT',
    document_types: 'SELECT',
    documents: CRUD,
    'find_login()': 'EXECUTE',
    'find_service_key()': 'EXECUTE',
    grants: 'DELETE,INSERT,SELECT',
    idempotency_keys: CRUD,
    import_batches: 'INSERT,SELECT,UPDATE',
    'is_teacher()': 'EXECUTE',
    jobs: 'DELETE,INSERT',
    'jobs(id)': 'SELECT',
    'jobs(learner_id)': 'SELECT',
    outbox: 'INSERT',
    'outbox(id)': 'SELECT',
    'outbox(xid)': 'SELECT',
    'own_events()': 'EXECUTE',
    'remove_owned()': 'EXECUTE',
    former_vectors: 'DELETE,INSERT,SELECT',
    passage_vectors: 'DELETE,INSERT,SELECT',
    turn_vectors: 'INSERT,SELECT',
    profiles: CRUD,
    progress: CRUD,
    published_documents: 'DELETE,INSERT,SELECT',
    published_passages: 'DELETE,INSERT,SELECT',
    service_accounts: CRUD,
    service_keys: 'DELETE,INSERT,SELECT',
    sessions: CRUD,
    studently_migrations: 'SELECT',
    study_item_types: 'SELECT',
    study_items: CRUD,
    study_reviews: 'INSERT,SELECT',
    'study_reviews(undone_at)': 'UPDATE',
    subscriptions: CRUD,
    user_emails: CRUD,
    users: CRUD,
    vector_spaces: 'SELECT',
  },
  studently_readonly: {},
  studently_teacher: {
    chat_messages: 'SELECT',
    chats: 'SELECT',
    document_passages: 'SELECT',
    documents: 'SELECT',
    grants: 'SELECT',
    'profiles(preferences)': 'SELECT',
    'profiles(user_id)': 'SELECT',
    progress: 'SELECT',
    study_items: 'SELECT',
    study_reviews: 'SELECT',
  },
  studently_worker: {
    audit_batches: 'INSERT,SELECT',
    audit_events: 'INSERT,SELECT',
    audit_log: 'SELECT',
    idempotency_keys: 'DELETE',
    'idempotency_keys(created_at)': 'SELECT',
    'idempotency_keys(id)': 'SELECT',
    'idempotency_keys(user_id)': 'SELECT',
    import_batches: 'DELETE',
    'import_batches(created_at)': 'SELECT',
    'import_batches(id)': 'SELECT',
    'import_batches(user_id)': 'SELECT',
    jobs: CRUD,
    'leave_filling()': 'EXECUTE',
    master_keys: 'INSERT,SELECT',
    outbox: CRUD,
    'prepare_audit_months()': 'EXECUTE',
    revoked_sessions: 'DELETE,SELECT',
    'serve_model()': 'EXECUTE',
    sessions: 'DELETE',
    'sessions(expires_at)': 'SELECT',
    'sessions(id)': 'SELECT',
    'sessions(user_id)': 'SELECT',
    studently_migrations: 'SELECT',
    vector_spaces: 'SELECT',
  },
};

/** The functions that pass row-level security, one per purpose. */
const SECURITY_DEFINER = [
  'find_login',
  'find_service_key',
  'forget_teacher',
  'is_teacher',
  'leave_filling',
  'let_id_rest',
  'own_events',
  'prepare_audit_months',
  'remember_revocation',
  'remove_owned',
  'serve_model',
];

/** Those that the worker calls. */
const WORKERS = ['leave_filling', 'prepare_audit_months', 'serve_model'];

const NOT_OF_AN_EXTENSION = (oid: string) => `not exists (select from pg_depend d where d.objid = ${oid} and d.deptype = 'e')`;

describe('The catalog', () => {
  let database: TestDatabase;
  let tables: string[];
  let personal: string[];
  const rows = <Row extends object>(text: string, values: unknown[] = []) => sql<Row>(database.adminUrl, text, values);
  beforeAll(async () => {
    database = await createTestDatabase();
    tables = await ourTables(database.adminUrl);
    personal = await personalTables(database.adminUrl);
  });
  afterAll(() => database.drop());

  describe('Servers and extensions', () => {
    it('DB-1 runs on PostgreSQL 15', async () => {
      const [row] = await rows<{ version: number }>(`select current_setting('server_version_num')::int as version`);
      expect(Math.floor(row!.version / 10_000)).toBe(15);
    });

    it('DB-2 DB-5 has vector 0.8 or newer, pg_trgm, uuid-ossp and pg_stat_statements', async () => {
      const found = await rows<{ extname: string; extversion: string }>('select extname, extversion from pg_extension');
      const versions = Object.fromEntries(found.map((row) => [row.extname, row.extversion]));
      expect(Object.keys(versions)).toEqual(expect.arrayContaining(['vector', 'pg_trgm', 'uuid-ossp', 'pg_stat_statements']));
      const [major, minor] = versions['vector']!.split('.').map(Number);
      expect(major! * 100 + minor!).toBeGreaterThanOrEqual(8);
    });

    it('DB-3 gives an id to a raw INSERT without one', async () => {
      const [user] = await rows<{ id: string }>(
        `insert into users (email, password_hash) values ('ada@example.org', '$argon2id$x') returning id`,
      );
      const [chat] = await rows<{ id: string }>(`insert into chats (user_id, title) values ($1, 'x') returning id`, [user!.id]);
      expect([user!.id, chat!.id]).toEqual([
        expect.stringMatching(/^[0-9a-f-]{14}4[0-9a-f]{3}-/),
        expect.stringMatching(/^[0-9a-f-]{14}4[0-9a-f]{3}-/),
      ]);
    });

    it('DB-4 counts the calls of a statement: exactly N after N runs', async () => {
      const marker = `probe_${randomUUID().replaceAll('-', '')}`;
      const [preloaded] = await rows<{ it: string }>(`select current_setting('shared_preload_libraries') as it`);
      expect(preloaded!.it).toContain('pg_stat_statements');
      for (let run = 1; run <= 7; run++) {
        await rows(`select $1::int as ${marker}`, [run]);
        const [seen] = await rows<{ calls: number }>(
          `select calls::int from pg_stat_statements where query like 'select $1::int as ${marker}'`,
        );
        expect(seen!.calls).toBe(run);
      }
    });
  });

  describe('Personal tables', () => {
    it('are those that we know', () => {
      expect(personal).toEqual([
        'chat_messages',
        'chat_turns',
        'chats',
        'document_passages',
        'documents',
        'former_vectors',
        'grants',
        'idempotency_keys',
        'import_batches',
        'passage_vectors',
        'profiles',
        'progress',
        'published_documents',
        'published_passages',
        'sessions',
        'study_items',
        'study_reviews',
        'subscriptions',
        'turn_vectors',
        'user_emails',
        'users',
      ]);
    });

    it('SEC-2 have row-level security enabled and forced, as every table of ours has that is no reference', async () => {
      const secured = await rows<{ relname: string }>(
        `select relname from pg_class where relnamespace = 'public'::regnamespace and relrowsecurity and relforcerowsecurity
           and not relispartition order by 1`,
      );
      expect(secured.map((row) => row.relname)).toEqual(tables.filter((table) => !REFERENCE.includes(table)));
    });

    it('have the primary key (user_id, id)', async () => {
      const keys = await rows<{ table: string; columns: string[] }>(
        `select conrelid::regclass::text as table,
                (select array_agg(attname::text order by ordinality) from unnest(conkey) with ordinality k(num, ordinality)
                 join pg_attribute on attrelid = conrelid and attnum = num) as columns
         from pg_constraint where contype = 'p' and conrelid::regclass::text = any($1)`,
        [personal],
      );
      expect(Object.fromEntries(keys.map((key) => [key.table, key.columns]))).toEqual(
        Object.fromEntries(personal.map((table) => [table, OTHER_KEYS[table] ?? ['user_id', 'id']])),
      );
    });

    it('carry user_id in every unique index and every foreign key', async () => {
      const without = await rows<{ name: string }>(
        `select indexrelid::regclass::text as name from pg_index i where indisunique and indrelid::regclass::text = any($1)
           and not exists (select from pg_attribute where attrelid = indrelid and attname = 'user_id' and attnum = any(indkey))
         union all
         select conname from pg_constraint where contype = 'f' and conrelid::regclass::text = any($1)
           and not exists (select from pg_attribute where attrelid = conrelid and attname = 'user_id' and attnum = any(conkey))
         order by 1`,
        [personal],
      );
      // References to what is nobody's, the user's own id, and the one thing that is unique over all users.
      expect(without.map((row) => row.name)).toEqual([
        'documents_type',
        'former_vectors_space',
        'passage_vectors_space',
        'published_documents_space',
        'published_documents_type',
        'published_passages_space',
        'study_items_type',
        'turn_vectors_space',
        'user_emails_pkey',
        'users_pkey',
      ]);
    });
  });

  it('ID-1 every id is a uuid with a default', async () => {
    const ids = await rows<{ table: string; type: string; default: string | null }>(
      `select table_name as table, data_type as type, column_default as default from information_schema.columns
       where table_schema = 'public' and column_name = 'id' and table_name = any($1) order by 1`,
      [tables],
    );
    expect(ids).toEqual(
      tables
        .filter((table) => !['audit_batches', 'user_emails', ...REFERENCE].includes(table)) // a number, an address or a name is the key
        .map((table) => ({ table, ...(OTHER_IDS[table] ?? { type: 'uuid', default: 'uuid_generate_v4()' }) })),
    );
  });

  it('every foreign key has an index that begins with its columns', async () => {
    const unserved = await rows<{ conname: string }>(
      `select conname from pg_constraint c where contype = 'f' and connamespace = 'public'::regnamespace and not exists (
         select from pg_index i where i.indrelid = c.conrelid and i.indpred is null
           and (string_to_array(i.indkey::text, ' ')::int2[])[1:cardinality(c.conkey)] @> c.conkey)
         and confrelid::regclass::text <> all($1)`,
      [REFERENCE], // their rows stay: nobody looks for what refers to them
    );
    expect(unserved).toEqual([]);
  });

  it('no index is there twice or invalid, and each is named after its table and what it serves', async () => {
    const indexes = await rows<{ name: string; table: string; valid: boolean; columns: string }>(
      `select indexrelid::regclass::text as name, indrelid::regclass::text as table, indisvalid as valid,
              concat_ws(' ', indrelid, indkey, indoption, indpred, indexprs) as columns
       from pg_index join pg_class c on c.oid = indrelid
       where indrelid::regclass::text = any($1) and c.relnamespace = 'public'::regnamespace`,
      [tables],
    );
    expect(new Set(indexes.map((index) => index.columns)).size).toBe(indexes.length);
    for (const { name, table, valid } of indexes) {
      expect([name, valid]).toEqual([name, true]);
      expect(name).toMatch(new RegExp(`^${table}_[a-z_]+$`));
      expect(name).not.toMatch(/_(idx|index|key|unique)\d*$/); // a name that PostgreSQL or the ORM made up
    }
  });

  it('every index says which query it serves', () => {
    const folder = join(__dirname, '../../migrations');
    for (const file of readdirSync(folder).filter((name) => name.endsWith('.up.sql'))) {
      const lines = readFileSync(join(folder, file), 'utf8').split('\n');
      lines.forEach((line, at) => {
        if (/create( unique)? index/.test(line))
          expect([file, line, lines[at - 1]]).toContainEqual(expect.stringMatching(/^-- /));
      });
    }
  });

  it('SEC-2 the policies are exactly these, in the bare form without a sub-select', async () => {
    const found = await rows<
      Record<'tablename' | 'policyname' | 'cmd' | 'roles' | 'qual' | 'with_check' | 'permissive', string>
    >(
      `select tablename, policyname, cmd, roles::text, qual, with_check, permissive from pg_policies where schemaname = 'public'
         and tablename <> all($1) order by tablename, policyname`,
      [await partitions(database.adminUrl)],
    );
    const byTable: Record<string, unknown[]> = {};
    for (const { tablename, policyname, cmd, roles, qual, with_check } of found) {
      (byTable[tablename] ??= []).push([policyname, cmd, roles, qual, with_check]);
      if (roles !== '{studently_teacher}') expect(`${qual} ${with_check}`).not.toMatch(/select/i);
    }
    expect(byTable).toEqual(POLICIES);
    expect(Object.keys(byTable)).toEqual(tables.filter((table) => !REFERENCE.includes(table)));
  });

  it('the roles cannot log in, are nothing special, and are members of nothing more than needed', async () => {
    const roles = await rows(
      `select rolname, rolsuper, rolbypassrls, rolcanlogin, rolcreaterole, rolcreatedb, rolreplication, rolinherit,
              array(select roleid::regrole::text from pg_auth_members where member = r.oid) as "memberOf"
       from pg_roles r where rolname like 'studently\\_%' and rolname <> 'studently_login' order by 1`,
    );
    const role = (rolname: string, memberOf: string[] = []) => ({
      rolname,
      rolsuper: false,
      rolbypassrls: false,
      rolcanlogin: false,
      rolcreaterole: false,
      rolcreatedb: false,
      rolreplication: false,
      rolinherit: false,
      memberOf,
    });
    expect(roles).toEqual([
      role('studently_app', ['studently_teacher']),
      role('studently_owner'),
      role('studently_readonly', ['pg_read_all_stats']),
      role('studently_teacher'),
      role('studently_worker', ['pg_read_all_stats']),
    ]);
  });

  it('SEC-2 studently_owner owns everything, and nobody else anything', async () => {
    const objects = await rows<{ owner: string; kind: string; name: string }>(
      `select pg_get_userbyid(relowner) as owner, 'relation' as kind, relname as name from pg_class c
         where relnamespace = 'public'::regnamespace and ${NOT_OF_AN_EXTENSION('c.oid')}
       union all
       select pg_get_userbyid(proowner), 'function', proname from pg_proc p
         where pronamespace = 'public'::regnamespace and ${NOT_OF_AN_EXTENSION('p.oid')}
       union all
       select pg_get_userbyid(typowner), 'type', typname from pg_type t
         where typnamespace = 'public'::regnamespace and typrelid = 0 and typelem = 0 and ${NOT_OF_AN_EXTENSION('t.oid')}
       order by 3`,
    );
    expect(objects.length).toBeGreaterThan(tables.length);
    const others = objects.filter(
      (object) => object.owner !== 'studently_owner' && !object.name.startsWith('studently_migrations'),
    );
    expect(others).toEqual([]);
    const [owned] = await rows<{ count: number }>(
      `select count(*)::int from pg_shdepend where deptype = 'o' and refobjid in
         (select oid from pg_roles where rolname in ('studently_app', 'studently_worker', 'studently_readonly', 'studently_login'))`,
    );
    expect(owned!.count).toBe(0);
  });

  it('each role is granted exactly what this table says', async () => {
    const grants = await rows<{ grantee: string; object: string; privileges: string }>(
      `select case grantee when 0 then 'PUBLIC' else grantee::regrole::text end as grantee, object,
              string_agg(privilege_type, ',' order by privilege_type) as privileges
       from (
         select relname as object, g.* from pg_class c, aclexplode(relacl) g
           where relnamespace = 'public'::regnamespace and ${NOT_OF_AN_EXTENSION('c.oid')}
         union all
         select relname || '(' || attname || ')', g.* from pg_class c join pg_attribute on attrelid = c.oid, aclexplode(attacl) g
           where relnamespace = 'public'::regnamespace and ${NOT_OF_AN_EXTENSION('c.oid')}
         union all
         select proname || '()', g.* from pg_proc p, aclexplode(proacl) g
           where pronamespace = 'public'::regnamespace and ${NOT_OF_AN_EXTENSION('p.oid')}
       ) all_grants
       where grantee not in ('studently_owner'::regrole, (select oid from pg_roles where rolname = current_user))
       group by 1, 2 order by 1, 2`,
    );
    const byRole: Record<string, Record<string, string>> = { PUBLIC: {}, studently_readonly: {} };
    for (const { grantee, object, privileges } of grants) (byRole[grantee] ??= {})[object] = privileges;
    expect(byRole).toEqual(GRANTS);
    const defaults = await rows('select * from pg_default_acl');
    expect(defaults).toEqual([]);
  });

  it('views act with the rights of whoever asks', async () => {
    const views = await rows<{ relname: string; reloptions: string[] }>(
      `select relname, reloptions from pg_class c
       where relkind in ('v', 'm') and relnamespace = 'public'::regnamespace and ${NOT_OF_AN_EXTENSION('c.oid')}`,
    );
    expect(views).toEqual([{ relname: 'ai_chats_seed', reloptions: ['security_invoker=true'] }]);
  });

  it('SEC-2 nobody but the owner reaches a partition by its own name', async () => {
    const parts = await rows<{ name: string; open: boolean; policies: string[]; forced: boolean }>(
      `select relname as name, relacl::text ~ 'studently_(app|worker|readonly)' as open, relrowsecurity and relforcerowsecurity as forced,
              array(select policyname || ' ' || roles::text from pg_policies where tablename = relname) as policies
       from pg_class where relispartition and relkind = 'r' order by 1`,
    );
    expect(parts.length).toBeGreaterThanOrEqual(3);
    for (const { name, open, policies, forced } of parts) {
      expect([name, open ?? false, forced, policies]).toEqual([name, false, true, [`${name}_owner {studently_owner}`]]);
    }
  });

  it('functions that act as their owner are listed, with a fixed search_path and not for PUBLIC', async () => {
    const definers = await rows<{ proname: string; proconfig: string[]; open: boolean }>(
      `select proname, proconfig, has_function_privilege('studently_readonly', p.oid, 'execute')
                or has_function_privilege('studently_worker', p.oid, 'execute') as open
       from pg_proc p where prosecdef and pronamespace = 'public'::regnamespace order by 1`,
    );
    expect(definers).toEqual(
      SECURITY_DEFINER.map((proname) => ({
        proname,
        proconfig: ['search_path=pg_catalog, public, pg_temp'],
        open: WORKERS.includes(proname),
      })),
    );
  });

  it('ID-8 AI-5 every table with updated_at has the trigger that moves it', async () => {
    const timed = await rows<{ table: string; triggered: boolean }>(
      `select attrelid::regclass::text as table, exists (
           select from pg_trigger where tgrelid = attrelid and tgfoid in ('touch_row'::regproc, 'touch_study_item'::regproc, 'touch_chat'::regproc) and tgenabled = 'O'
             and tgtype & 2 = 2 and tgtype & 16 = 16 and tgtype & 1 = 1 and tgqual is null and tgattr = '') as triggered
       from pg_attribute where attname = 'updated_at' and attrelid::regclass::text = any($1) order by 1`,
      [tables],
    );
    const known = ['chats', 'documents', 'profiles', 'progress', 'study_items', 'subscriptions', 'users'];
    expect(timed).toEqual(known.map((table) => ({ table, triggered: true })));
  });

  it('times are kept with time zone, to the millisecond that the API shows', async () => {
    const others = await rows(
      `select table_name, column_name, data_type, datetime_precision from information_schema.columns
       where table_schema = 'public' and table_name = any($1) and data_type like 'time%'
         and (data_type <> 'timestamp with time zone' or datetime_precision <> 3)`,
      [tables],
    );
    expect(others).toEqual([]);
  });
});
