export { ReviewItem } from '../commands/review-item';
