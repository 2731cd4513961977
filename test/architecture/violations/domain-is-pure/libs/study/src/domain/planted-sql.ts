export { MikroORM } from '@mikro-orm/postgresql';
