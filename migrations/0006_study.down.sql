drop table progress;
drop table study_reviews;
drop table study_items;
drop function touch_study_item;
drop table study_item_types;
