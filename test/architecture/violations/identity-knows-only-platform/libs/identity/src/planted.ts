export { StudyItem } from '../../study/src/index';
