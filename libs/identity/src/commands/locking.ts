import { LockMode } from '@mikro-orm/core';
import { NotFound, type Transaction } from '@studently/platform';
import { Profile } from '../domain/profile.entity';
import { User } from '../domain/user.entity';

/** The user, locked until the command has committed. Row-level security decides whom the actor may see. */
export async function lockUser(tx: Transaction, userId: string): Promise<User> {
  const user = await tx.em.findOne(User, { id: userId }, { lockMode: LockMode.PESSIMISTIC_WRITE });
  if (!user) throw new NotFound('user');
  return user;
}

/** @throws NotFound if the user has none */
export async function profileOf(tx: Transaction, user: User): Promise<Profile> {
  const profile = await tx.em.findOne(Profile, { user });
  if (!profile) throw new NotFound('profile');
  return profile;
}

/** How many ADMINs there are. They are locked in one order, so that two commands cannot each spare the other's. */
export async function lockAdmins(tx: Transaction): Promise<number> {
  return (await tx.query(`select id from users where role = 'ADMIN' order by id for update`)).length;
}

/** Ends sessions of a user in the database: all, only one, or all except one. @returns the ids of those that were open */
export async function endSessions(
  tx: Transaction,
  userId: string,
  { only, except }: { only?: string; except?: string } = {},
): Promise<string[]> {
  const ended = await tx.query<{ id: string }>(
    `update sessions set revoked_at = now()
     where user_id = $1 and revoked_at is null and ($2::uuid is null or id = $2) and ($3::uuid is null or id <> $3)
     returning id`,
    [userId, only ?? null, except ?? null],
  );
  return ended.map((session) => session.id);
}
