create or replace function touch_study_item() returns trigger
  language plpgsql
as $$
begin
  if new.created_at is distinct from old.created_at then
    raise exception 'created_at of % never changes', tg_table_name using errcode = 'integrity_constraint_violation';
  end if;
  new.updated_at := now();
  new.version := old.version + ((new.type, new.content, new.tags) is distinct from (old.type, old.content, old.tags))::int;
  return new;
end
$$;

create or replace function touch_chat() returns trigger
  language plpgsql
as $$
begin
  if new.created_at is distinct from old.created_at then
    raise exception 'created_at of % never changes', tg_table_name using errcode = 'integrity_constraint_violation';
  end if;
  if new.embedded_count > old.embedded_count and new.version = old.version then
    return new;
  end if;
  new.updated_at := now();
  new.version := old.version + 1;
  return new;
end
$$;
