drop function leave_filling;
drop function serve_model;
alter table vector_spaces
  drop column url, drop column since, drop column reached_learner, drop column reached_document, drop column is_reached;
