drop table embedding_jobs;
drop table document_passages;
drop table documents;
drop table document_types;
