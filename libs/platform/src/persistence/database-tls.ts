import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import { ConfigurationError } from '../config/config';
import { TLS_PARAMETERS } from '../config/tls-parameters';

/**
 * What an address says of TLS, apart from it. pg would read `require` as verify-full and check the certificate of an
 * IP address against "localhost"; here verify-full means that name or address that was asked for. Without sslmode
 * pg's own PGSSLMODE decides.
 * @throws ConfigurationError `DATABASE_TLS_CA_UNREADABLE`
 */
export function separateTls(address: string): { connectionString: string; ssl?: false | ConnectionOptions } {
  const url = URL.parse(address);
  const mode = url?.searchParams.get('sslmode');
  if (!url || !mode) return { connectionString: address };
  const authority = url.searchParams.get('sslrootcert');
  const connectionString = withoutTls(address);
  if (mode === 'disable') return { connectionString, ssl: false };
  const host = url.hostname.replace(/^\[(.+)\]$/, '$1');
  return { connectionString, ssl: { rejectUnauthorized: true, host, ...(authority && { ca: read(authority) }) } };
}

/** The address alone, as pg is to read it. */
export function withoutTls(address: string): string {
  const url = URL.parse(address);
  if (!url?.searchParams.has('sslmode')) return address;
  for (const name of TLS_PARAMETERS) url.searchParams.delete(name);
  return url.href;
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    throw new ConfigurationError('DATABASE_TLS_CA_UNREADABLE', `The file that sslrootcert names cannot be read: ${file}`);
  }
}
