drop table import_batches;
