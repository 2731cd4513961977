export class ReviewItem {}
