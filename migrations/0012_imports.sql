-- What opens something is kept for no longer than it serves: the token of an import for as long as the credential with which its owner began it, the order of a
-- restore until that is over.

-- +goose Up
ALTER TABLE backups ADD import_by uuid; -- of sessions or api_tokens; no reference, since it may end before this does
UPDATE backups SET state = 'void', ended_at = clock_timestamp() WHERE state = 'active' AND import_token IS NOT NULL;
UPDATE runs SET sealed_order = NULL WHERE ended_at IS NOT NULL AND sealed_order IS NOT NULL;

-- +goose Down
ALTER TABLE backups DROP import_by;
