import { GRANT_SCOPES, SERVICE_SCOPES } from '@studently/identity';
import { z } from 'zod';
import { Id, Time, TimeInput } from '../http/schemas';

const expiresAt = TimeInput.transform((value) => new Date(value)).optional();
const ServiceScopes = z.array(z.enum(SERVICE_SCOPES)).min(1).max(SERVICE_SCOPES.length);

export const ServiceAccountBody = z
  .object({ name: z.string().trim().min(1).max(100), scopes: ServiceScopes, expiresAt })
  .meta({ example: { name: 'chat service', scopes: ['chats:read', 'chats:write'] } });
export const ServiceKeyBody = z.object({ expiresAt }).meta({ example: { expiresAt: '2030-01-01T00:00:00Z' } });

const ServiceKeyAnswer = z.object({ id: Id, createdAt: Time, expiresAt: Time.nullable() });
const key = z.string();

export const NewServiceKeyAnswer = ServiceKeyAnswer.extend({ key });
export const ServiceAccountAnswer = z.object({
  id: Id,
  name: z.string(),
  scopes: z.array(z.enum(SERVICE_SCOPES)),
  createdAt: Time,
  keys: z.array(ServiceKeyAnswer),
});
export const NewServiceAccountAnswer = ServiceAccountAnswer.extend({ key });

const GrantScopes = z.array(z.enum(GRANT_SCOPES));
export const GrantBody = z
  .object({
    id: Id.optional(),
    teacherId: Id,
    scopes: GrantScopes.min(1).max(GRANT_SCOPES.length),
  })
  .meta({ example: { teacherId: '1fa82546-91d3-4855-b5b1-ee1cf39eb9ea', scopes: ['progress', 'study'] } });
export const GrantAnswer = z.object({ id: Id, teacherId: Id, scopes: GrantScopes, createdAt: Time });
export const SharedLearnerAnswer = z.object({ userId: Id, scopes: GrantScopes, createdAt: Time });
