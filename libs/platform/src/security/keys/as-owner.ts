import type { Client } from 'pg';
import { refuseLogin } from '../../persistence/owner-session';

/**
 * A transaction as the role that owns the tables. All of maintenance is in one: an embedded database has one session for
 * everybody, in which a role would stay, and between the messages of two statements it serves somebody else.
 */
export async function asOwner<T>(client: Client, work: () => Promise<T>): Promise<T> {
  await client.query('begin; set local role studently_owner').catch(refuseLogin);
  try {
    const result = await work();
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback');
    throw error;
  }
}
