-- Addresses that people want to have, until they show that mail to them arrives.

-- +goose Up
CREATE TABLE email_changes (
    user_id    uuid PRIMARY KEY REFERENCES users ON DELETE CASCADE, -- one at a time
    email      text NOT NULL,
    email_key  text NOT NULL,                       -- reserves nothing: the address may be taken meanwhile
    code_hash  bytea NOT NULL,                      -- HMAC-SHA256 under the pepper, of the code and the address
    expires_at timestamptz NOT NULL
);

-- +goose Down
DROP TABLE email_changes;
