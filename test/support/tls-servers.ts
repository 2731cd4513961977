import { spawn } from 'node:child_process';
import { chmodSync, chownSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Certificate } from './certificates';
import { freePort, postgresOwner, startPostgres, untilRedisIsReady, withClient, type PostgresServer } from './servers';

/** PostgreSQL with a certificate, which lets nobody in without TLS. */
export async function startTlsPostgres({ keyFile, certFile }: Certificate): Promise<PostgresServer> {
  const owner = postgresOwner();
  chmodSync(keyFile, 0o600);
  if (owner) chownSync(keyFile, owner.uid, owner.gid);
  const server = await startPostgres({ ssl: 'on', ssl_cert_file: certFile, ssl_key_file: keyFile });
  await withClient(server.url('postgres'), async (client) => {
    const { rows } = await client.query<{ file: string }>(`select current_setting('hba_file') as file`);
    writeFileSync(rows[0]!.file, 'hostssl all all 127.0.0.1/32 scram-sha-256\n');
    await client.query('select pg_reload_conf()');
  });
  return server;
}

export interface TlsRedis {
  port: number;
  stop(): Promise<void>;
}

/** Redis that listens with TLS only, and lets in the one user of deploy/redis/users.acl. */
export async function startTlsRedis(
  { keyFile, certFile }: Certificate,
  authorityFile: string,
  acl: string,
  folder: string,
): Promise<TlsRedis> {
  const port = await freePort();
  const aclFile = join(folder, `users-${port}.acl`);
  writeFileSync(aclFile, acl);
  const tls = ['--port', '0', '--tls-port', String(port), '--tls-key-file', keyFile, '--tls-cert-file', certFile];
  const authority = ['--tls-ca-cert-file', authorityFile, '--tls-auth-clients', 'no', '--aclfile', aclFile];
  const rest = ['--bind', '127.0.0.1', '--save', '', '--dir', folder];
  const child = spawn('/usr/bin/redis-server', [...tls, ...authority, ...rest], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  await untilRedisIsReady(child);
  return {
    port,
    stop: async () => {
      child.kill();
      await ended;
    },
  };
}
