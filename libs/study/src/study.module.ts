import { Module } from '@nestjs/common';

/** Study items with their schedules and reviews, and the learner's progress. */
@Module({})
export class StudyModule {}
