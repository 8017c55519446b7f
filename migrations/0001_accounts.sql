-- Accounts: who may come in, with what, and what was done.
-- Secrets are never stored: tokens as SHA-256, auth keys as HMAC-SHA256 under a pepper that is not in the database.

-- +goose Up
CREATE TYPE role AS ENUM ('staff', 'admin', 'superuser');

CREATE TABLE users (
    id                  uuid PRIMARY KEY,
    email               text NOT NULL,
    email_key           text NOT NULL UNIQUE, -- lower case, NFKC: what uniqueness and login go by
    name                text NOT NULL,
    role                role NOT NULL,
    suspended_at        timestamptz,
    kdf_salt            bytea NOT NULL,
    kdf_time            int NOT NULL,
    kdf_memory          int NOT NULL,
    kdf_threads         int NOT NULL,
    auth_hash           bytea NOT NULL,
    bundle              bytea NOT NULL,
    recovery_auth_hash  bytea NOT NULL,
    recovery_bundle     bytea NOT NULL,
    identity_public     bytea NOT NULL,
    created_at          timestamptz NOT NULL DEFAULT now(),
    last_login_at       timestamptz
);

CREATE TABLE invitations (
    id          uuid PRIMARY KEY,
    token_hash  bytea NOT NULL UNIQUE,
    email       text, -- null: the first superuser chooses
    email_key   text,
    name        text,
    role        role NOT NULL,
    invited_by  uuid REFERENCES users ON DELETE SET NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,
    accepted_by uuid REFERENCES users ON DELETE SET NULL,
    accepted_at timestamptz
);

CREATE TABLE sessions (
    id            uuid PRIMARY KEY,
    user_id       uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    token_hash    bytea NOT NULL UNIQUE,
    client        text NOT NULL,
    address       text NOT NULL,
    by_recovery   boolean NOT NULL DEFAULT false, -- may set a password without the old one
    created_at    timestamptz NOT NULL DEFAULT now(),
    last_seen_at  timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);

CREATE TABLE api_tokens (
    id            uuid PRIMARY KEY,
    user_id       uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    token_hash    bytea NOT NULL UNIQUE,
    name          text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    last_used_at  timestamptz,
    expires_at    timestamptz
);
CREATE INDEX api_tokens_user ON api_tokens (user_id);

-- Failed logins, counted per key (a keyed hash of an account, an address, or both) in a window; old rows are
-- swept. An attempt is written as failed before it is checked, so that guesses cannot overtake their own count.
CREATE TABLE login_failures (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key         bytea NOT NULL,
    at          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX login_failures_key ON login_failures (key, at);

-- Where an account was logged in to: such a place has a count of its own, so that an attacker elsewhere
-- cannot lock the person out of it. place is a keyed hash of the address.
CREATE TABLE known_places (
    user_id     uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    place       bytea NOT NULL,
    last_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, place)
);

CREATE TABLE audit_events (
    id        uuid PRIMARY KEY,
    at        timestamptz NOT NULL DEFAULT now(),
    kind      text NOT NULL,
    actor_id  uuid REFERENCES users ON DELETE SET NULL,
    owner_id  uuid REFERENCES users ON DELETE SET NULL, -- whom it concerns
    text      text NOT NULL
);
CREATE INDEX audit_events_at ON audit_events (at DESC, id DESC);
CREATE INDEX audit_events_owner ON audit_events (owner_id, at DESC, id DESC);

-- +goose Down
DROP TABLE audit_events, known_places, login_failures, api_tokens, sessions, invitations, users;
DROP TYPE role;
