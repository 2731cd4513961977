drop function serve_model;
alter table vector_spaces drop column url;
