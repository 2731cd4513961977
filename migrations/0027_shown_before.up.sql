-- step: left behind by a run that was interrupted
drop index concurrently if exists published_passages_id;
-- step
-- serves: the published passages of earlier pages, which a cursor names by their ids alone, so that nothing like them comes before others
create index concurrently published_passages_id on published_passages (id);
