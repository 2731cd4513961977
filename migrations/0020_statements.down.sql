drop table operations.maintenance_runs;
drop function operations.count_statements;
drop table operations.statement_hours;
drop table operations.statement_counters;
drop table operations.slow_statements;
revoke usage on schema operations from studently_worker;
