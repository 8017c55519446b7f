-- A second factor of accounts, and accounts that start anew.

-- +goose Up
-- The secret is locked under a key that the database does not hold. A factor counts once it was confirmed with a code.
CREATE TABLE second_factors (
    user_id      uuid PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    secret       bytea NOT NULL,
    last_step    bigint NOT NULL DEFAULT 0, -- of the last code that was taken: it and those before it are spent
    created_at   timestamptz NOT NULL,
    confirmed_at timestamptz
);

-- Codes for who does not have the device at hand, as HMAC-SHA256 under the pepper. Each serves once.
CREATE TABLE backup_codes (
    user_id uuid NOT NULL REFERENCES second_factors ON DELETE CASCADE,
    hash    bytea NOT NULL,
    used_at timestamptz,
    PRIMARY KEY (user_id, hash)
);

-- An account that was reset lets nobody in until its person has joined again, with new keys.
ALTER TABLE users
    ADD reset_at   timestamptz,
    ADD rekeyed_at timestamptz; -- when the present keys were made, if they are not the first: what is older opens no more
ALTER TABLE invitations ADD resets uuid REFERENCES users ON DELETE CASCADE; -- the account that it starts anew

-- An address that a word goes to as well: the one that an account had before.
ALTER TABLE notifications ADD also text;

-- +goose Down
ALTER TABLE notifications DROP also;
ALTER TABLE invitations DROP resets;
ALTER TABLE users DROP reset_at, DROP rekeyed_at;
DROP TABLE backup_codes, second_factors;
