import { addressPrincipal } from './address';

describe('An address as a principal', () => {
  it.each([
    ['192.0.2.1', 'a:192.0.2.1'],
    ['::ffff:192.0.2.1', 'a:192.0.2.1'],
    ['::FFFF:192.0.2.1', 'a:192.0.2.1'],
    ['::1', 'a:0:0:0:0::/64'],
    ['2001:db8:1:2:3:4:5:6', 'a:2001:db8:1:2::/64'],
    ['2001:0DB8:0001:0002:ffff:ffff:ffff:ffff', 'a:2001:db8:1:2::/64'],
    ['2001:db8::', 'a:2001:db8:0:0::/64'],
    ['2001:db8::5', 'a:2001:db8:0:0::/64'],
    ['2001:db8:1:2:3:4:5::', 'a:2001:db8:1:2::/64'],
    ['fe80::1%eth0', 'a:fe80:0:0:0::/64'],
    ['64:ff9b::192.0.2.1', 'a:64:ff9b:0:0::/64'],
    ['::ffff:999.0.2.1', 'a:unknown'],
    ['', 'a:unknown'],
    [undefined, 'a:unknown'], // the client has gone
  ])('%s is %s', (address, principal) => {
    expect(addressPrincipal(address)).toBe(principal);
  });
});
