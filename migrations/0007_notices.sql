-- Telling people: notifications, what each wants by mail, mails on their way; and the settings of the installation.

-- +goose Up
CREATE TYPE severity AS ENUM ('info', 'success', 'warning', 'error');

CREATE TABLE notifications (
    id          uuid PRIMARY KEY,
    user_id     uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    kind        text NOT NULL,                     -- a stable word such as run.failed
    severity    severity NOT NULL,
    title       text NOT NULL,
    body        text NOT NULL,
    device_id   uuid REFERENCES devices ON DELETE SET NULL,
    run_id      uuid REFERENCES runs ON DELETE SET NULL,
    key         text,                              -- of what is told once only while it lasts, such as stale:<device>
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    read_at     timestamptz,
    mailed      text NOT NULL DEFAULT 'pending' CHECK (mailed IN ('pending', 'none', 'digest', 'sent')) -- what mail did with it
);
CREATE INDEX notifications_user ON notifications (user_id, created_at DESC, id DESC);
CREATE INDEX notifications_unread ON notifications (user_id) WHERE read_at IS NULL;
CREATE INDEX notifications_to_mail ON notifications (mailed, user_id) WHERE mailed IN ('pending', 'digest');
CREATE UNIQUE INDEX notifications_key ON notifications (key, user_id) WHERE key IS NOT NULL;

CREATE TYPE mail_mode AS ENUM ('none', 'digest', 'instant');

-- What a person chose; kinds without a row have their defaults in the program.
CREATE TABLE notification_preferences (
    user_id  uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    kind     text NOT NULL,
    mail     mail_mode NOT NULL,
    PRIMARY KEY (user_id, kind)
);

CREATE TYPE mail_state AS ENUM ('waiting', 'sent', 'failed');

CREATE TABLE mails (
    id          uuid PRIMARY KEY,
    user_id     uuid REFERENCES users ON DELETE CASCADE,
    address     text NOT NULL,
    kind        text NOT NULL,                     -- notification, digest, admin-digest, test
    subject     text NOT NULL,
    text        text NOT NULL,
    html        text NOT NULL,
    key         text UNIQUE,                       -- so that a digest of a day is written once
    state       mail_state NOT NULL DEFAULT 'waiting',
    attempts    int NOT NULL DEFAULT 0,            -- also the fence of the latest one
    next_at     timestamptz NOT NULL DEFAULT clock_timestamp(), -- whoever sends it moves this ahead: nobody else takes it meanwhile
    error       text,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent_at     timestamptz
);
CREATE INDEX mails_waiting ON mails (next_at) WHERE state = 'waiting';
CREATE INDEX mails_address ON mails (address, created_at);
CREATE INDEX mails_created ON mails (created_at DESC, id DESC);

CREATE TABLE settings (
    key         text PRIMARY KEY,
    value       jsonb NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_by  uuid REFERENCES users ON DELETE SET NULL
);

ALTER TABLE users ADD quota_bytes bigint;          -- null: no limit of its own

-- One row a day and space (null: the whole store): what growth and forecasts are made of.
CREATE TABLE usage_samples (
    day       date NOT NULL,
    space_id  int REFERENCES spaces ON DELETE CASCADE,
    stored    bigint NOT NULL,                     -- bytes of packs
    logical   bigint NOT NULL,                     -- bytes of files by all live snapshots
    protected bigint NOT NULL,                     -- by the newest of each device
    objects   bigint NOT NULL,
    snapshots int NOT NULL,
    free      bigint                               -- bytes left in the store; only for the whole, null if it cannot say
);
CREATE UNIQUE INDEX usage_samples_space ON usage_samples (day, space_id) WHERE space_id IS NOT NULL;
CREATE UNIQUE INDEX usage_samples_whole ON usage_samples (day) WHERE space_id IS NULL;

-- +goose Down
DROP TABLE usage_samples, settings, mails, notification_preferences, notifications;
ALTER TABLE users DROP quota_bytes;
DROP TYPE mail_state;
DROP TYPE mail_mode;
DROP TYPE severity;
