-- A passage has room for one vector: that of the model which answers, or the client's.
alter table document_passages add column embedding vector(1536), add column embedding_model text;
update document_passages p set embedding = v.embedding, embedding_model = s.model
  from passage_vectors v join vector_spaces s on s.space = v.space and s.state in ('supplied', 'serving')
  where v.user_id = p.user_id and v.passage_id = p.id;
alter table document_passages add constraint document_passages_embedding_has_model
  check ((embedding is null) = (embedding_model is null));
comment on column document_passages.embedding is 'Null where there is no word that the model knows; the passage is still found by its words.';
drop table passage_vectors;
drop table vector_spaces;
