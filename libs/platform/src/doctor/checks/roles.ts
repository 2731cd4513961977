import { judging, OURS, type Check } from '../check';

/** The roles that requests act as, and the logins that may act as one of them: none may pass row-level security. */
const APPLICATION = `
  select r.oid, r.rolname, quote_ident(r.rolname) as role, r.rolsuper, r.rolbypassrls, r.rolcanlogin from pg_roles r
  where r.rolname in ('studently_app', 'studently_teacher', 'studently_worker', 'studently_readonly')
    or exists (select from pg_auth_members m join pg_roles g on g.oid = m.roleid
               where m.member = r.oid and g.rolname in ('studently_app', 'studently_worker'))`;

const powers = judging<{ role: string; rolsuper: boolean }>({
  name: 'roles',
  sql: `select role, rolsuper from (${APPLICATION}) application where rolsuper and not rolcanlogin or rolbypassrls and not rolsuper order by 1`,
  judge: ({ role, rolsuper }) => ({
    severity: 'critical',
    what: `${role} is ${rolsuper ? 'a superuser' : 'allowed to pass row-level security'}: requests see the rows of all learners.`,
    mend: `alter role ${role} nosuperuser nobypassrls;`,
  }),
});

const superuser = judging<{ role: string }>({
  name: 'login',
  served: true,
  sql: `select quote_ident(rolname) as role from pg_roles where rolsuper`,
  judge: ({ role }, { settings }) => {
    const login = settings.DATABASE_URL && decodeURIComponent(new URL(settings.DATABASE_URL).username);
    if (role !== login && role !== `"${login}"`) return undefined;
    return {
      severity: 'critical',
      what: `The API logs in as ${role}, which passes row-level security: one forgotten SET ROLE, and a request sees everything.`,
      mend: '$ deploy/postgres/logins.sh   # then DATABASE_URL with the login studently',
    };
  },
});

const owners = judging<{ role: string; name: string; kind: string }>({
  name: 'owners',
  sql: `
    select application.role, c.oid::regclass::text as name,
      case c.relkind when 'v' then 'view' when 'm' then 'materialized view' when 'S' then 'sequence' else 'table' end as kind
    from pg_class c join (${APPLICATION}) application on application.oid = c.relowner
    where c.relkind in ('r', 'p', 'v', 'm', 'S') and not application.rolsuper and c.relpersistence <> 't' order by 2`,
  judge: ({ role, name, kind }) => ({
    severity: 'critical',
    what: `${role}, which requests act as, owns the ${kind} ${name}, and may do with it what it likes.`,
    mend: `alter ${kind} ${name} owner to studently_owner;`,
  }),
});

const rowLevelSecurity = judging<{ name: string; enabled: boolean; forced: boolean; policies: number }>({
  name: 'row-level security',
  sql: `
    select c.oid::regclass::text as name, c.relrowsecurity as enabled, c.relforcerowsecurity as forced,
      (select count(*)::int from pg_policy where polrelid = c.oid) as policies
    from pg_class c
    where ${OURS} and c.relkind in ('r', 'p')
      and (c.relname = 'users' or exists (
        select from pg_attribute a where a.attrelid = c.oid and not a.attisdropped and a.attname in ('user_id', 'learner_id')))
    order by 1`,
  judge: ({ name, enabled, forced, policies }) => {
    if (enabled && forced && policies > 0) return undefined;
    if (enabled && forced) {
      return {
        severity: 'critical',
        what: `${name} holds rows of learners and has no policy: nobody sees a row of it.`,
        mend: `create policy ${name}_owner on ${name} to studently_owner using (true) with check (true); -- and those of its migration`,
      };
    }
    return {
      severity: 'critical',
      what: `${name} holds rows of learners and ${enabled ? 'does not force row-level security on its owner' : 'has no row-level security'}.`,
      mend: `alter table ${name} enable row level security, force row level security;`,
    };
  },
});

/** Triggers keep what the schema promises: dense versions, foreign keys, ended sessions. */
const triggers = judging<{ name: string; trigger: string }>({
  name: 'triggers',
  sql: `select c.oid::regclass::text as name, quote_ident(t.tgname) as trigger from pg_trigger t join pg_class c on c.oid = t.tgrelid
        where ${OURS} and t.tgenabled in ('D', 'R') order by 1, 2`,
  judge: ({ name, trigger }) => ({
    severity: 'critical',
    what: `The trigger ${trigger} of ${name} is switched off: what it sees to no longer happens.`,
    mend: `alter table ${name} enable trigger ${trigger};`,
  }),
});

/** When everything stops, as far as it is known ahead. */
const [SOON_DAYS, AT_ONCE_DAYS] = [30, 7];

/** The day after, nobody gets in who is not there already: logins.sh gives passwords a year. */
const passwords = judging<{ role: string; days: number; ends: string; next: string }>({
  name: 'passwords',
  served: true,
  sql: `
    select quote_ident(r.rolname) as role, extract(epoch from r.rolvaliduntil - now())::float8 / 86400 as days,
      to_char(r.rolvaliduntil at time zone 'UTC', 'YYYY-MM-DD') as ends, to_char(now() + interval '1 year', 'YYYY-MM-DD') as next
    from pg_roles r
    where r.rolcanlogin and r.rolvaliduntil < now() + interval '${SOON_DAYS} days' and (r.rolreplication or exists (
      select from pg_auth_members m join pg_roles g on g.oid = m.roleid
      where m.member = r.oid and g.rolname in ('studently_app', 'studently_worker', 'studently_owner', 'studently_readonly')))
    order by r.rolvaliduntil, 1`,
  judge: ({ role, days, ends, next }) => ({
    severity: days < AT_ONCE_DAYS ? 'critical' : 'warning',
    what: `The password of ${role} ${days < 0 ? 'has ended' : 'ends'} on ${ends}: from then on PostgreSQL lets it in no more.`,
    mend: `alter role ${role} valid until '${next}'; -- with a new password, or another login: docs/handbook.md, "Logins and roles"`,
  }),
});

export const ROLES_CHECKS: readonly Check[] = [powers, superuser, passwords, owners, rowLevelSecurity, triggers];
