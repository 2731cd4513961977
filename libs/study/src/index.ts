export { StudyModule } from './study.module';
