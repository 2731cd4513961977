import { hen } from './planted-hen';

export const egg = () => hen;
