drop function remove_owned(uuid, integer, regclass, uuid);
