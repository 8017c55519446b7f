-- The fleet: devices and how they come in.

-- +goose Up
CREATE TABLE devices (
    id             uuid PRIMARY KEY,
    user_id        uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    name           text NOT NULL,
    hostname       text NOT NULL,
    os             text NOT NULL,
    arch           text NOT NULL,
    agent_version  text NOT NULL,
    public_key     bytea NOT NULL,
    mac            bytea NOT NULL,
    token_hash     bytea NOT NULL UNIQUE,
    created_at     timestamptz NOT NULL DEFAULT now(),
    last_seen_at   timestamptz,
    revoked_at     timestamptz
);
CREATE INDEX devices_user ON devices (user_id, name);
CREATE UNIQUE INDEX devices_one_name ON devices (user_id, name) WHERE revoked_at IS NULL;

CREATE TABLE enrolments (
    id          uuid PRIMARY KEY,
    user_id     uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    token_hash  bytea NOT NULL UNIQUE,
    sealed      bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,
    used_by     uuid REFERENCES devices ON DELETE SET NULL,
    used_at     timestamptz
);
CREATE INDEX enrolments_user ON enrolments (user_id);

-- +goose Down
DROP TABLE enrolments, devices;
