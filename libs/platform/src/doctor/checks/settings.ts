import { judging, set, type Check, type Severity } from '../check';

interface Rule {
  /** What is set to mend it. */
  readonly name: string;
  readonly value: string;
  readonly severity: Severity;
  readonly why: string;
  isWell(settings: Record<string, string>): boolean;
}

const on = (name: string, severity: Severity, why: string): Rule => ({
  ...{ name, severity, why, value: 'on' },
  isWell: (settings) => settings[name] === 'on',
});

const RULES: readonly Rule[] = [
  on('fsync', 'critical', 'the end of the machine may be that of the database'),
  on('full_page_writes', 'critical', 'a page that is half written when the machine ends stays so'),
  on('autovacuum', 'critical', 'dead rows pile up, and transaction ids run out'),
  on('track_counts', 'critical', 'autovacuum sees nothing to do'),
  {
    ...{ name: 'synchronous_commit', value: 'on', severity: 'critical' },
    why: 'what was acknowledged may be lost',
    isWell: ({ synchronous_commit }) => synchronous_commit !== 'off',
  },
  {
    ...{ name: 'password_encryption', value: `'scram-sha-256'`, severity: 'warning' },
    why: 'new passwords are kept as MD5, which is broken',
    isWell: ({ password_encryption }) => password_encryption === 'scram-sha-256',
  },
  {
    ...{ name: 'log_error_verbosity', value: 'terse', severity: 'warning' },
    why: 'the DETAIL of an error writes values of rows into the log',
    isWell: ({ log_error_verbosity }) => log_error_verbosity === 'terse',
  },
  {
    ...{ name: 'log_parameter_max_length', value: '0', severity: 'warning' },
    why: 'logged statements bring the values of their parameters into the log',
    isWell: (settings) =>
      settings['log_parameter_max_length'] === '0' ||
      ['log_min_duration_statement', 'log_min_duration_sample'].every((name) => settings[name] === '-1'),
  },
  {
    ...{ name: 'log_parameter_max_length_on_error', value: '0', severity: 'warning' },
    why: 'failed statements bring the values of their parameters into the log',
    isWell: (settings) => settings['log_parameter_max_length_on_error'] === '0',
  },
  {
    ...{ name: 'log_statement', value: 'none', severity: 'warning' },
    why: 'what is written is written into the log as well, with its values',
    isWell: ({ log_statement }) => log_statement === 'none' || log_statement === 'ddl',
  },
];

const settings: Check = {
  name: 'settings',
  served: true,
  examine: async ({ ask }) => {
    // What the server has, not what somebody has set for this login.
    const rows = await ask<{ name: string; setting: string }>('select name, reset_val as setting from pg_settings');
    const current = Object.fromEntries(rows.map(({ name, setting }) => [name, setting]));
    return RULES.filter((rule) => !rule.isWell(current)).map(({ name, value, severity, why }) => ({
      severity,
      what: `${name} = ${current[name]}: ${why}.`,
      mend: set(name, value),
    }));
  },
};

const restart = judging<{ name: string; folder: string }>({
  name: 'restart',
  served: true,
  needs: 'monitor',
  sql: `select name, current_setting('data_directory') as folder from pg_settings where pending_restart order by name`,
  judge: ({ name, folder }) => ({
    severity: 'warning',
    what: `${name} has another value in the files, which counts only after a restart of PostgreSQL.`,
    mend: `$ pg_ctl restart -D ${folder}   # or as your service manager does it`,
  }),
});

export const SETTINGS_CHECKS: readonly Check[] = [settings, restart];
