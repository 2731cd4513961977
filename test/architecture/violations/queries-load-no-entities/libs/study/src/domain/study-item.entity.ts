export class StudyItem {}
