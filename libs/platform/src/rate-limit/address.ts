import { isIPv4, isIPv6 } from 'node:net';

/**
 * An address as a principal: IPv4 as it is, also where it comes as `::ffff:192.0.2.1`; IPv6 by its /64, which is what one
 * subscriber is given (RFC 6177), so that nobody has 2^64 principals.
 */
export function addressPrincipal(address: string | undefined): string {
  const [plain = ''] = (address ?? '').split('%'); // fe80::1%eth0
  const mapped = /^::ffff:([\d.]+)$/i.exec(plain)?.[1];
  if (mapped !== undefined && isIPv4(mapped)) return `a:${mapped}`;
  if (!isIPv6(plain)) return `a:${isIPv4(plain) ? plain : 'unknown'}`;
  const [head = '', tail] = plain.toLowerCase().split('::');
  const parts = (text: string) => (text === '' ? [] : text.split(':'));
  const [left, right] = [parts(head), parts(tail ?? '')];
  const missing = Math.max(0, 8 - left.length - right.length);
  const all = tail === undefined ? left : [...left, ...Array<string>(missing).fill('0'), ...right];
  return `a:${all
    .slice(0, 4)
    .map((part) => Number.parseInt(part, 16).toString(16))
    .join(':')}::/64`;
}
