export { EntityManager } from '@mikro-orm/postgresql';
