-- Policies: what is saved, when, of which devices, and how long it is kept. Groups gather people.

-- +goose Up
CREATE TABLE groups (
    id          uuid PRIMARY KEY,
    name        text NOT NULL,
    name_key    text NOT NULL UNIQUE, -- lower case: what uniqueness goes by
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE group_members (
    group_id  uuid NOT NULL REFERENCES groups ON DELETE CASCADE,
    user_id   uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    PRIMARY KEY (group_id, user_id)
);
CREATE INDEX group_members_user ON group_members (user_id);

CREATE TABLE policies (
    id               uuid PRIMARY KEY,
    name             text NOT NULL,
    name_key         text NOT NULL UNIQUE,
    enabled          boolean NOT NULL,
    revision         int NOT NULL DEFAULT 1,       -- rises with every change: an editor that looked earlier is told
    everyone         boolean NOT NULL,
    roots            text[] NOT NULL,
    presets          text[] NOT NULL,              -- kinds of files, by name
    extensions       text[] NOT NULL,              -- single ones, beside the presets
    exclude_presets  text[] NOT NULL,
    excludes         text[] NOT NULL,
    max_file_size    bigint NOT NULL,              -- bytes; 0: no limit
    schedule         jsonb NOT NULL,               -- plan.Schedule
    zone             text NOT NULL,                -- IANA name: of the schedule, the window and retention
    window_from      int NOT NULL,                 -- minutes since midnight; the same as window_to: always
    window_to        int NOT NULL,
    deadline_minutes int NOT NULL,                 -- after the slot: later it counts as missed
    spread_minutes   int NOT NULL,                 -- over which the devices' beginnings are spread
    upload_limit     bigint NOT NULL,              -- bytes a second; 0: no limit
    level            text NOT NULL,
    keep_days        int NOT NULL,
    keep_last        int NOT NULL,
    keep_daily       int NOT NULL,
    keep_weekly      int NOT NULL,
    keep_monthly     int NOT NULL,
    keep_yearly      int NOT NULL,
    ticked_at        timestamptz NOT NULL,         -- every slot up to here has its rows in runs
    created_by       uuid REFERENCES users ON DELETE SET NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now()
);

-- Whom a policy is for, beside everyone; and whom it is not for, though they would be.
CREATE TABLE policy_targets (
    policy_id  uuid NOT NULL REFERENCES policies ON DELETE CASCADE,
    group_id   uuid REFERENCES groups ON DELETE CASCADE,
    device_id  uuid REFERENCES devices ON DELETE CASCADE,
    excluded   boolean NOT NULL,
    CHECK ((group_id IS NULL) <> (device_id IS NULL))
);
CREATE UNIQUE INDEX policy_targets_group ON policy_targets (policy_id, group_id) WHERE group_id IS NOT NULL;
CREATE UNIQUE INDEX policy_targets_device ON policy_targets (policy_id, device_id) WHERE device_id IS NOT NULL;
CREATE INDEX policy_targets_of_group ON policy_targets (group_id);
CREATE INDEX policy_targets_of_device ON policy_targets (device_id);

-- Which devices a policy is for at this moment.
CREATE VIEW policy_devices AS
    SELECT p.id AS policy_id, d.id AS device_id, d.user_id
    FROM policies p CROSS JOIN devices d JOIN users u ON u.id = d.user_id
    WHERE d.revoked_at IS NULL AND u.suspended_at IS NULL
        AND (p.everyone
            OR EXISTS (SELECT 1 FROM policy_targets t WHERE t.policy_id = p.id AND NOT t.excluded AND t.device_id = d.id)
            OR EXISTS (SELECT 1 FROM policy_targets t JOIN group_members m ON m.group_id = t.group_id
                WHERE t.policy_id = p.id AND NOT t.excluded AND m.user_id = d.user_id))
        AND NOT EXISTS (SELECT 1 FROM policy_targets t WHERE t.policy_id = p.id AND t.excluded AND t.device_id = d.id)
        AND NOT EXISTS (SELECT 1 FROM policy_targets t JOIN group_members m ON m.group_id = t.group_id
            WHERE t.policy_id = p.id AND t.excluded AND m.user_id = d.user_id);

-- +goose Down
DROP VIEW policy_devices;
DROP TABLE policy_targets, policies, group_members, groups;
