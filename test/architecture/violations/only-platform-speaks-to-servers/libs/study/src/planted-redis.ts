export { createClient } from 'redis4';
