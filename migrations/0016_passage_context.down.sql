drop table former_vectors;
alter table document_passages drop column content_key, drop column ends_at, drop column context_sealed;
