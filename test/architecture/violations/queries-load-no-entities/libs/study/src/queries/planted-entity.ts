export { StudyItem } from '../domain/study-item.entity';
