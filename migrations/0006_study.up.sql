-- What a learner studies, how each review went, and the learner's progress.

create table study_item_types (
  type text primary key check (type ~ '^[a-z][a-z0-9-]{0,31}$'),
  content_schema jsonb not null check (jsonb_typeof(content_schema) = 'object'),
  created_at timestamptz(3) not null default now()
);
comment on table study_item_types is 'The kinds of study items. A row more is a kind more, without a deploy.';
comment on column study_item_types.content_schema is 'JSON Schema (draft-07) of the content of an item of this type.';
insert into study_item_types (type, content_schema) values
  ('flashcard', '{
    "type": "object", "required": ["front", "back"],
    "properties": {
      "front": { "type": "string", "minLength": 1, "maxLength": 65536 },
      "back": { "type": "string", "minLength": 1, "maxLength": 65536 }
    } }'),
  ('note', '{
    "type": "object", "required": ["markdown"],
    "properties": { "markdown": { "type": "string", "minLength": 1, "maxLength": 262144 } } }'),
  -- The answer is one of the choices, or its place among them, counted from 0.
  ('quiz', '{
    "type": "object", "required": ["question", "choices", "answer"],
    "properties": {
      "question": { "type": "string", "minLength": 1, "maxLength": 65536 },
      "choices": {
        "type": "array", "minItems": 2, "maxItems": 20, "uniqueItems": true,
        "items": { "type": "string", "minLength": 1, "maxLength": 4096 } },
      "answer": {
        "type": ["string", "integer"],
        "if": { "type": "string" },
        "then": { "enum": { "$data": "1/choices" } },
        "else": { "minimum": 0, "exclusiveMaximum": { "$data": "1/choices/length" } } }
    } }');
grant select on study_item_types to studently_app;

-- Bounds of floats are quoted: the ORM cannot compare a check with the cast that PostgreSQL puts behind a bare number.
create table study_items (
  user_id uuid not null references users (id) on delete cascade,
  id uuid not null default uuid_generate_v4(),
  type text not null constraint study_items_type references study_item_types (type),
  content jsonb not null check (jsonb_typeof(content) = 'object'),
  tags text[] not null default '{}' check (cardinality(tags) <= 50),
  progress double precision not null default 0 check (progress >= '0' and progress <= '1'),
  last_reviewed timestamptz(3),
  next_review timestamptz(3) not null default now(),
  state text not null default 'new' check (state in ('new', 'learning', 'review', 'relearning')),
  stability double precision not null default 0 check (stability >= '0' and stability < 'Infinity'),
  difficulty double precision not null default 0 check (difficulty >= '0' and difficulty <= '10'),
  scheduled_days integer not null default 0 check (scheduled_days >= 0),
  learning_step integer not null default 0 check (learning_step >= 0),
  reps integer not null default 0 check (reps >= 0),
  lapses integer not null default 0 check (lapses >= 0),
  review_count integer not null default 0 check (review_count >= 0),
  created_at timestamptz(3) not null default now(),
  updated_at timestamptz(3) not null default now(),
  version integer not null default 1,
  primary key (user_id, id),
  constraint study_items_reviewed check ((last_reviewed is null) = (state = 'new') and (last_reviewed is null) = (reps = 0)),
  constraint study_items_order check (last_reviewed is null or next_review >= last_reviewed)
);
comment on column study_items.progress is 'Maturity: min(1, stability / 21 days).';
comment on column study_items.stability is 'Days until the probability of recall has fallen to 90 % (FSRS).';
comment on column study_items.review_count is 'The seq of the last review that arrived, undone ones included.';
comment on column study_items.version is 'Counts changes of type, content and tags. A review changes none of them.';
-- serves: GET /v1/study/items, newest first
create index study_items_newest on study_items (user_id, created_at desc, id desc);
-- serves: GET /v1/study/due and the forecast: what was never reviewed, in order …
create index study_items_new on study_items (user_id, next_review, id) where last_reviewed is null;
-- … and what is to be reviewed again, with all that its order needs, so that the table is not visited
create index study_items_due on study_items (user_id, next_review) include (last_reviewed, state, id) where last_reviewed is not null;

create function touch_study_item() returns trigger
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
comment on function touch_study_item is 'As touch_row, but a review leaves the version: an undone one leaves no trace on the item.';
create trigger study_items_touch before update on study_items for each row execute function touch_study_item();

create table study_reviews (
  user_id uuid not null,
  id uuid not null,
  item_id uuid not null,
  seq integer not null check (seq >= 1),
  client_review_id text not null check (length(client_review_id) between 1 and 100),
  rating smallint not null check (rating between 1 and 4),
  reviewed_at timestamptz(3) not null,
  duration_ms integer check (duration_ms between 0 and 86400000),
  answer json not null check (json_typeof(answer) = 'object'),
  undone_at timestamptz(3),
  created_at timestamptz(3) not null default now(),
  primary key (user_id, id),
  -- serves: the log of one item
  constraint study_reviews_dense unique (user_id, item_id, seq),
  constraint study_reviews_item foreign key (user_id, item_id) references study_items (user_id, id) on delete cascade
);
comment on table study_reviews is 'The review log, which is the truth: the schedule of an item is what replaying its log by reviewed_at gives.';
comment on column study_reviews.id is 'Made of item and client_review_id: the same review cannot be there twice.';
comment on column study_reviews.seq is 'The order of arrival, which is what undo goes back in.';
comment on column study_reviews.answer is 'What the reviewer was told, to be told again to a repeated request.';
-- serves: statistics over a period
create index study_reviews_by_time on study_reviews (user_id, reviewed_at);

create table progress (
  user_id uuid not null references users (id) on delete cascade,
  id uuid not null default uuid_generate_v4(),
  category text not null check (length(category) between 1 and 64),
  score double precision not null check (score >= '0' and score <= '100'),
  "timestamp" timestamptz(3) not null default now(),
  metadata jsonb not null default '{}' check (jsonb_typeof(metadata) = 'object'),
  created_at timestamptz(3) not null default now(),
  updated_at timestamptz(3) not null default now(),
  version integer not null default 1,
  primary key (user_id, id)
);
-- serves: GET /v1/progress, newest first
create index progress_newest on progress (user_id, created_at desc, id desc);
-- serves: GET /v1/progress?bucket=, one category over a period
create index progress_series on progress (user_id, category, "timestamp" desc);
create trigger progress_touch before update on progress for each row execute function touch_row();

alter table study_items enable row level security;
alter table study_items force row level security;
create policy study_items_owner on study_items to studently_owner using (true) with check (true);
create policy study_items_self on study_items to studently_app
  using (user_id = nullif(current_setting('app.user_id', true), '')::uuid)
  with check (user_id = nullif(current_setting('app.user_id', true), '')::uuid);
grant select, insert, update, delete on study_items to studently_app;

alter table study_reviews enable row level security;
alter table study_reviews force row level security;
create policy study_reviews_owner on study_reviews to studently_owner using (true) with check (true);
create policy study_reviews_self on study_reviews to studently_app
  using (user_id = nullif(current_setting('app.user_id', true), '')::uuid)
  with check (user_id = nullif(current_setting('app.user_id', true), '')::uuid);
-- A review never changes and leaves only with its item, by the cascade. It can be undone, once.
grant select, insert, update (undone_at) on study_reviews to studently_app;

alter table progress enable row level security;
alter table progress force row level security;
create policy progress_owner on progress to studently_owner using (true) with check (true);
create policy progress_self on progress to studently_app
  using (user_id = nullif(current_setting('app.user_id', true), '')::uuid)
  with check (user_id = nullif(current_setting('app.user_id', true), '')::uuid);
grant select, insert, update, delete on progress to studently_app;
