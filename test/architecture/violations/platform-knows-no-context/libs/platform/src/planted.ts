export { User } from '../../identity/src/index';
