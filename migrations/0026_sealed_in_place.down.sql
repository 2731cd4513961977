alter function sealed_json(text, uuid, uuid, text, bytea) immutable;
