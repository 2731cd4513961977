import { primaryConninfo } from './primary-conninfo';

describe('The way of a standby to its primary', () => {
  it('SC-3 holds no password, which is in a file of its own', () => {
    const url =
      'postgres://replicator:it%27s%3A%20a%5Csecret@db.internal:5433/studently?sslmode=verify-full&sslrootcert=/run/ca.crt';
    const { conninfo, passLine } = primaryConninfo(url, 'standby1', '/var/lib/s.pgpass');
    expect(conninfo).toBe(
      "host='db.internal' port='5433' user='replicator' passfile='/var/lib/s.pgpass' application_name='standby1' " +
        "sslmode='verify-full' sslrootcert='/run/ca.crt'",
    );
    expect(passLine).toBe("db.internal:5433:*:replicator:it's\\: a\\\\secret");
  });

  it('knows sockets, addresses of IPv6, and logins without a password', () => {
    expect(primaryConninfo('postgres://o%27hara@[::1]/x?host=/run/it%27s', 's', '/p')).toEqual({
      conninfo: "host='/run/it\\'s' port='5432' user='o\\'hara' application_name='s'",
    });
    expect(primaryConninfo('postgres://u:p@[::1]/x', 's', '/p')).toEqual({
      conninfo: "host='::1' port='5432' user='u' passfile='/p' application_name='s'",
      passLine: '\\:\\:1:5432:*:u:p',
    });
  });
});
