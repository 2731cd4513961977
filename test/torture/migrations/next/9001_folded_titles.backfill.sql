-- through: chats (user_id, id)
-- left: select count(*) from chats where title_folded is null
update chats set title_folded = lower(title) where title_folded is null and {batch};
