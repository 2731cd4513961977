export { Database } from '../../../platform/src/persistence/database';
