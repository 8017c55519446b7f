-- The token of an import is good for no longer than the credential with which its owner began it.

-- +goose Up
ALTER TABLE backups ADD import_by uuid; -- of sessions or api_tokens; no reference, since it may end before this does
UPDATE backups SET state = 'void', ended_at = clock_timestamp() WHERE state = 'active' AND import_token IS NOT NULL;

-- +goose Down
ALTER TABLE backups DROP import_by;
