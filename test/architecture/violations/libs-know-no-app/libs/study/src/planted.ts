export { port } from '../../../apps/api/src/main';
