import * as fc from 'fast-check';
import { normaliseEmail } from './email';

describe('An e-mail address', () => {
  it.each([
    ['Ada@Example.ORG', 'ada@example.org'],
    ['  ada@example.org\n', 'ada@example.org'],
    ['JOSÉ@example.org', 'josé@example.org'],
    ['jose\u0301@example.org', 'josé@example.org'],
  ])('ID-2 %j is compared as %j', (given, compared) => {
    expect(normaliseEmail(given)).toBe(compared);
  });

  it('ID-2 is the same in upper case, with blanks, and normalised again', () => {
    fc.assert(
      fc.property(fc.emailAddress(), (email) => {
        const normal = normaliseEmail(email);
        expect(normaliseEmail(normal)).toBe(normal);
        expect(normaliseEmail(` ${email.toUpperCase()} `)).toBe(normal);
      }),
    );
  });
});
