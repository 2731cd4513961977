drop trigger users_let_id_rest on users;
-- step
drop function let_id_rest();
