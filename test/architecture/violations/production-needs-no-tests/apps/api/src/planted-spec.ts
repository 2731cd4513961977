export { chat } from './chat.spec';
