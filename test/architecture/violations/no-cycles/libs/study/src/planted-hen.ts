import { egg } from './planted-egg';

export const hen = () => egg;
