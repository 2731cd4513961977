import { translateDatabaseError } from './database-errors';

const refused = { kind: 'unavailable', code: 'DATABASE_UNAVAILABLE', details: { retryAfterSeconds: 1 } };

describe('A database that cannot be reached', () => {
  it.each([
    ...['ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ENOENT', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN'],
    ...['EHOSTUNREACH', 'EHOSTDOWN', 'ENETUNREACH', 'ENETDOWN'],
  ])('is away for now (%s), also where a wrapper hides it', (code) => {
    const error = Object.assign(new Error(`connect ${code}`), { code });
    expect(translateDatabaseError(error)).toMatchObject(refused);
    expect(translateDatabaseError(new Error('the ORM', { cause: error }))).toMatchObject(refused);
  });

  it('is not meant by another error of the system', () => {
    const error = Object.assign(new Error('too many open files'), { code: 'EMFILE' });
    expect(translateDatabaseError(error)).toBe(error);
  });
});
