import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Certificate {
  keyFile: string;
  certFile: string;
}

/** A certificate authority of a test's own, by openssl: P-256, as small as openssl takes it. */
export class Authority {
  readonly certFile: string;

  constructor(private readonly folder: string) {
    mkdirSync(join(folder, 'issued'), { recursive: true });
    chmodSync(folder, 0o755); // PostgreSQL runs as another user
    this.certFile = join(folder, 'ca.crt');
    writeFileSync(join(folder, 'index'), '');
    writeFileSync(
      join(folder, 'ca.cnf'),
      ['[ca]', 'default_ca=own', '[own]', `database=${folder}/index`, `new_certs_dir=${folder}/issued`, 'rand_serial=yes']
        .concat('unique_subject=no', 'default_md=sha256', 'policy=any', '[any]', 'commonName=supplied')
        .join('\n'),
    );
    const constraints = ['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign'];
    this.openssl(
      'req',
      '-x509',
      ...this.newKey('ca'),
      '-subj',
      '/CN=a test',
      '-days',
      '2',
      '-out',
      this.certFile,
      ...constraints,
    );
  }

  /** @param names as in subjectAltName: `DNS:localhost,IP:127.0.0.1` */
  issue(name: string, names: string, { expired = false, usage = 'serverAuth' } = {}): Certificate {
    const file = (suffix: string) => join(this.folder, `${name}.${suffix}`);
    this.openssl('req', ...this.newKey(name), '-subj', `/CN=${name}`, '-out', file('csr'));
    writeFileSync(file('ext'), `subjectAltName=${names}\nextendedKeyUsage=${usage}`);
    const dates = expired ? ['-startdate', '200101000000Z', '-enddate', '200102000000Z'] : ['-days', '2'];
    const ca = ['-config', join(this.folder, 'ca.cnf'), '-cert', this.certFile, '-keyfile', join(this.folder, 'ca.key')];
    const files = ['-in', file('csr'), '-out', file('crt'), '-extfile', file('ext')];
    this.openssl('ca', '-batch', '-notext', ...ca, ...dates, ...files);
    return { keyFile: file('key'), certFile: file('crt') };
  }

  private newKey(name: string): string[] {
    const keyFile = join(this.folder, `${name}.key`);
    return ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', keyFile];
  }

  private openssl(...args: string[]): void {
    execFileSync('openssl', args, { stdio: 'pipe' });
  }
}
