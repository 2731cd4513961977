drop index concurrently if exists published_passages_id;
