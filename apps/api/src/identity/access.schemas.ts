import { GRANT_SCOPES, SERVICE_SCOPES } from '@studently/identity';
import { z } from 'zod';
import { Id, Time, TimeInput } from '../http/schemas';

const expiresAt = TimeInput.transform((value) => new Date(value)).optional();
const ServiceScopes = z.array(z.enum(SERVICE_SCOPES)).min(1).max(SERVICE_SCOPES.length);

export const ServiceAccountBody = z.object({ name: z.string().trim().min(1).max(100), scopes: ServiceScopes, expiresAt });
export const ServiceKeyBody = z.object({ expiresAt });

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
export const GrantBody = z.object({
  id: Id.optional(),
  teacherId: Id,
  scopes: GrantScopes.min(1).max(GRANT_SCOPES.length),
});
export const GrantAnswer = z.object({ id: Id, teacherId: Id, scopes: GrantScopes, createdAt: Time });
export const SharedLearnerAnswer = z.object({ userId: Id, scopes: GrantScopes, createdAt: Time });
