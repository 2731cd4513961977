/** How a standby finds its primary, as libpq reads it. A password is not in it: it would stand readable in postgresql.auto.conf. */
export interface PrimaryConninfo {
  conninfo: string;
  /** The line of the passfile; undefined: the address has no password. */
  passLine?: string;
}

/** @param url of a login that may replicate. @param passfile where the password will be */
export function primaryConninfo(url: string, name: string, passfile: string): PrimaryConninfo {
  const address = new URL(url);
  const host = address.searchParams.get('host') ?? address.hostname.replace(/^\[(.+)\]$/, '$1');
  const port = address.port || '5432';
  const [user, password] = [decodeURIComponent(address.username), decodeURIComponent(address.password)];
  const parts: Record<string, string | null> = {
    host,
    port,
    user,
    passfile: password === '' ? null : passfile,
    application_name: name,
    sslmode: address.searchParams.get('sslmode'),
    sslrootcert: address.searchParams.get('sslrootcert'),
  };
  const conninfo = Object.entries(parts)
    .flatMap(([key, value]) => (value === null ? [] : [`${key}=${quoted(value)}`]))
    .join(' ');
  // Of a socket's folder libpq looks for localhost where it is the default one; * is right in any case.
  const passLine = [host.startsWith('/') ? '*' : host, port, '*', user, password].map(escaped).join(':');
  return { conninfo, ...(password !== '' && { passLine }) };
}

const quoted = (value: string) => `'${value.replace(/['\\]/g, '\\$&')}'`;
const escaped = (field: string) => (field === '*' ? field : field.replace(/[:\\]/g, '\\$&'));
