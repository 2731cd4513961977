export { ImportStudyItems } from './commands/import-study-items';
export { readStudyCsv } from './csv';
export { ImportedStudyItem, NewReview, NewStudyItem, readStudyItem } from './domain/new-study-item';
export { StudyModule } from './study.module';
