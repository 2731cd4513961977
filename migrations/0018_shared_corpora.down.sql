-- What was published is private again; the documents are still there.
drop table published_passages;
drop table published_documents;
alter table documents drop column published_at;
