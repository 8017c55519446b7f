-- Applications: databases and media folders on enrolled devices, backed up and restored as a whole.

-- +goose Up
CREATE TYPE application_part AS ENUM ('database', 'media', 'full');
CREATE TYPE snapshot_origin AS ENUM ('backup', 'safety', 'import');

CREATE TABLE applications (
    id             uuid PRIMARY KEY,
    device_id      uuid NOT NULL REFERENCES devices ON DELETE CASCADE,
    name           text NOT NULL,
    name_key       text NOT NULL,                  -- lower case: what uniqueness goes by
    engine         text,                           -- of its database: a word of vault/dump; null without one
    media_folders  int NOT NULL,
    keep_safety    int NOT NULL DEFAULT 5,         -- safety backups that are kept
    notify         text NOT NULL DEFAULT 'failures', -- failures, always
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    removed_at     timestamptz,                    -- its device has it no more
    UNIQUE (device_id, name_key)
);

CREATE TABLE application_schedules (
    id              uuid PRIMARY KEY,
    application_id  uuid NOT NULL REFERENCES applications ON DELETE CASCADE,
    name            text NOT NULL,
    name_key        text NOT NULL,
    enabled         boolean NOT NULL,
    revision        int NOT NULL DEFAULT 1,
    part            application_part NOT NULL,
    schedule        jsonb NOT NULL,                -- plan.Schedule
    zone            text NOT NULL,                 -- IANA name: of the schedule and retention
    level           text NOT NULL,
    exclude_logs    boolean NOT NULL,
    portable        boolean NOT NULL,
    keep_days       int NOT NULL,
    keep_last       int NOT NULL,
    keep_daily      int NOT NULL,
    keep_weekly     int NOT NULL,
    keep_monthly    int NOT NULL,
    keep_yearly     int NOT NULL,
    ticked_at       timestamptz NOT NULL,          -- every slot up to here has its row in runs
    created_by      uuid REFERENCES users ON DELETE SET NULL,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (application_id, name_key)
);

ALTER TYPE run_kind ADD VALUE IF NOT EXISTS 'probe';

ALTER TABLE runs
    ADD application_id      uuid REFERENCES applications ON DELETE CASCADE, -- null: files of the device
    ADD schedule_id         uuid REFERENCES application_schedules ON DELETE SET NULL,
    ADD part                application_part,
    ADD title               text,                  -- that the backup is to have
    ADD options             jsonb,                 -- of a backup of an application: level, exclude_logs, portable
    ADD safety_snapshot_id  uuid,                  -- of a restore: what was made before it
    ADD UNIQUE (schedule_id, slot);
CREATE INDEX runs_application ON runs (application_id, created_at DESC, id DESC) WHERE application_id IS NOT NULL;

ALTER TABLE snapshots
    ADD application_id  uuid,                      -- no reference, as with device_id
    ADD schedule_id     uuid,                      -- whose retention applies; null: no rule deletes it
    ADD part            application_part,
    ADD origin          snapshot_origin,
    ADD title           text NOT NULL DEFAULT '';
ALTER TABLE snapshots DROP CONSTRAINT snapshots_deleted_by_check;
ALTER TABLE snapshots ADD CONSTRAINT snapshots_deleted_by_check CHECK (deleted_by IN ('owner', 'retention', 'operator'));
CREATE INDEX snapshots_application ON snapshots (application_id, created_at DESC, id DESC) WHERE application_id IS NOT NULL;

-- How a device is doing is about its files; so is what its latest snapshot is.
DROP INDEX snapshots_device, runs_ended, runs_succeeded;
CREATE INDEX snapshots_device ON snapshots (device_id, created_at DESC, id DESC) WHERE application_id IS NULL;
CREATE INDEX runs_ended ON runs (device_id, ended_at DESC, id DESC)
    WHERE application_id IS NULL AND kind = 'backup' AND state IN ('succeeded', 'warned', 'failed', 'missed');
CREATE INDEX runs_succeeded ON runs (device_id, ended_at DESC) WHERE application_id IS NULL AND kind = 'backup' AND state IN ('succeeded', 'warned');
CREATE INDEX snapshots_schedule ON snapshots (schedule_id, created_at) WHERE schedule_id IS NOT NULL;

-- A person who uploads an import writes into a session of the application's device, beside the device's own, with a
-- token that is good for nothing else.
ALTER TABLE backups
    ADD import_application_id  uuid REFERENCES applications ON DELETE CASCADE,
    ADD import_token           bytea UNIQUE;       -- its hash
DROP INDEX backups_one_active;
CREATE UNIQUE INDEX backups_one_active ON backups (device_id) WHERE state = 'active' AND import_token IS NULL;

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION device_health(stale int) RETURNS TABLE (
    device_id        uuid,
    user_id          uuid,
    state            text,
    last_success_at  timestamptz,
    last_run_id      uuid,                         -- the one that runs, or else the one that ended last
    stale_days       int                           -- since the last success; without any, since it was enrolled, and 0 while nothing was due
) LANGUAGE sql STABLE AS $$
    SELECT h.device_id, h.user_id,
        CASE WHEN h.revoked THEN 'revoked'
            WHEN h.running IS NOT NULL OR h.by_hand THEN 'working'
            WHEN h.ended_state IN ('failed', 'missed') OR h.stale_days >= stale THEN 'bad'
            WHEN h.waiting THEN 'working'
            WHEN h.ended_state = 'warned' OR h.problems > 0 THEN 'warning'
            WHEN h.success IS NOT NULL THEN 'good'
            ELSE 'new' END,
        h.success, coalesce(h.running, h.ended), h.stale_days
    FROM (
        SELECT d.id AS device_id, d.user_id, d.revoked_at IS NOT NULL AS revoked,
            ended.id AS ended, ended.state AS ended_state, running.id AS running, snapshot.problems,
            EXISTS (SELECT 1 FROM backups b WHERE b.device_id = d.id AND b.state = 'active' AND b.import_token IS NULL
                AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.device_id = d.id AND r.state = 'running' AND r.application_id IS NOT NULL AND r.backup_id = b.id)) AS by_hand,
            EXISTS (SELECT 1 FROM runs r WHERE r.device_id = d.id AND r.application_id IS NULL AND r.kind = 'backup' AND r.state = 'waiting' AND r.due_at <= clock_timestamp()) AS waiting,
            greatest(good.ended_at, snapshot.created_at) AS success,
            CASE WHEN ended.id IS NULL AND snapshot.created_at IS NULL THEN 0
                ELSE greatest(0, floor(extract(epoch FROM clock_timestamp() - coalesce(greatest(good.ended_at, snapshot.created_at), d.created_at)) / 86400))::int
                END AS stale_days
        FROM devices d
        LEFT JOIN LATERAL (
            SELECT r.id, r.state FROM runs r
            WHERE r.device_id = d.id AND r.application_id IS NULL AND r.kind = 'backup' AND r.state IN ('succeeded', 'warned', 'failed', 'missed')
            ORDER BY r.ended_at DESC, r.id DESC LIMIT 1) ended ON true
        LEFT JOIN LATERAL (
            SELECT r.ended_at FROM runs r
            WHERE r.device_id = d.id AND r.application_id IS NULL AND r.kind = 'backup' AND r.state IN ('succeeded', 'warned')
            ORDER BY r.ended_at DESC LIMIT 1) good ON true
        LEFT JOIN LATERAL (
            SELECT r.id FROM runs r
            WHERE r.device_id = d.id AND r.application_id IS NULL AND r.kind = 'backup' AND r.state = 'running'
            ORDER BY r.started_at DESC, r.id DESC LIMIT 1) running ON true
        LEFT JOIN LATERAL (
            SELECT s.created_at, s.problems FROM snapshots s
            WHERE s.device_id = d.id AND s.application_id IS NULL AND s.deleted_at IS NULL AND ended.id IS NULL
            ORDER BY s.created_at DESC, s.id DESC LIMIT 1) snapshot ON true
    ) h
$$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION device_health(stale int) RETURNS TABLE (
    device_id        uuid,
    user_id          uuid,
    state            text,
    last_success_at  timestamptz,
    last_run_id      uuid,                         -- the one that runs, or else the one that ended last
    stale_days       int                           -- since the last success; without any, since it was enrolled, and 0 while nothing was due
) LANGUAGE sql STABLE AS $$
    SELECT h.device_id, h.user_id,
        CASE WHEN h.revoked THEN 'revoked'
            WHEN h.running IS NOT NULL OR h.by_hand THEN 'working'
            WHEN h.ended_state IN ('failed', 'missed') OR h.stale_days >= stale THEN 'bad'
            WHEN h.waiting THEN 'working'
            WHEN h.ended_state = 'warned' OR h.problems > 0 THEN 'warning'
            WHEN h.success IS NOT NULL THEN 'good'
            ELSE 'new' END,
        h.success, coalesce(h.running, h.ended), h.stale_days
    FROM (
        SELECT d.id AS device_id, d.user_id, d.revoked_at IS NOT NULL AS revoked,
            ended.id AS ended, ended.state AS ended_state, running.id AS running, snapshot.problems,
            EXISTS (SELECT 1 FROM backups b WHERE b.device_id = d.id AND b.state = 'active') AS by_hand,
            EXISTS (SELECT 1 FROM runs r WHERE r.device_id = d.id AND r.kind = 'backup' AND r.state = 'waiting' AND r.due_at <= clock_timestamp()) AS waiting,
            greatest(good.ended_at, snapshot.created_at) AS success,
            CASE WHEN ended.id IS NULL AND snapshot.created_at IS NULL THEN 0
                ELSE greatest(0, floor(extract(epoch FROM clock_timestamp() - coalesce(greatest(good.ended_at, snapshot.created_at), d.created_at)) / 86400))::int
                END AS stale_days
        FROM devices d
        LEFT JOIN LATERAL (
            SELECT r.id, r.state FROM runs r
            WHERE r.device_id = d.id AND r.kind = 'backup' AND r.state IN ('succeeded', 'warned', 'failed', 'missed')
            ORDER BY r.ended_at DESC, r.id DESC LIMIT 1) ended ON true
        LEFT JOIN LATERAL (
            SELECT r.ended_at FROM runs r
            WHERE r.device_id = d.id AND r.kind = 'backup' AND r.state IN ('succeeded', 'warned')
            ORDER BY r.ended_at DESC LIMIT 1) good ON true
        LEFT JOIN LATERAL (
            SELECT r.id FROM runs r
            WHERE r.device_id = d.id AND r.kind = 'backup' AND r.state = 'running'
            ORDER BY r.started_at DESC, r.id DESC LIMIT 1) running ON true
        LEFT JOIN LATERAL (
            SELECT s.created_at, s.problems FROM snapshots s
            WHERE s.device_id = d.id AND s.deleted_at IS NULL AND ended.id IS NULL
            ORDER BY s.created_at DESC, s.id DESC LIMIT 1) snapshot ON true
    ) h
$$;
-- +goose StatementEnd
DROP INDEX snapshots_device, runs_ended, runs_succeeded;
CREATE INDEX snapshots_device ON snapshots (device_id, created_at DESC, id DESC);
CREATE INDEX runs_ended ON runs (device_id, ended_at DESC, id DESC) WHERE kind = 'backup' AND state IN ('succeeded', 'warned', 'failed', 'missed');
CREATE INDEX runs_succeeded ON runs (device_id, ended_at DESC) WHERE kind = 'backup' AND state IN ('succeeded', 'warned');
DROP INDEX backups_one_active;
DELETE FROM backups WHERE import_token IS NOT NULL;
ALTER TABLE backups DROP import_application_id, DROP import_token;
CREATE UNIQUE INDEX backups_one_active ON backups (device_id) WHERE state = 'active';
DELETE FROM snapshots WHERE application_id IS NOT NULL;
ALTER TABLE snapshots DROP CONSTRAINT snapshots_deleted_by_check;
ALTER TABLE snapshots ADD CONSTRAINT snapshots_deleted_by_check CHECK (deleted_by IN ('owner', 'retention'));
ALTER TABLE snapshots DROP application_id, DROP schedule_id, DROP part, DROP origin, DROP title;
DELETE FROM runs WHERE application_id IS NOT NULL; -- the kind of run 'probe' stays: PostgreSQL drops no value of a type
ALTER TABLE runs DROP application_id, DROP schedule_id, DROP part, DROP title, DROP options, DROP safety_snapshot_id;
DROP TABLE application_schedules, applications;
DROP TYPE snapshot_origin;
DROP TYPE application_part;
