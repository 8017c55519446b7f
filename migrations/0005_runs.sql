-- Runs: every slot of every policy on every device is a row before anything is rung; so is every backup that
-- somebody asks for, and every restore that is ordered for a device.

-- +goose Up
CREATE TYPE run_kind AS ENUM ('backup', 'restore');
CREATE TYPE run_trigger AS ENUM ('schedule', 'owner', 'admin', 'device');
CREATE TYPE run_state AS ENUM ('waiting', 'running', 'succeeded', 'warned', 'failed', 'missed', 'cancelled');

CREATE TABLE runs (
    id              uuid PRIMARY KEY,
    device_id       uuid NOT NULL REFERENCES devices ON DELETE CASCADE,
    kind            run_kind NOT NULL,
    trigger         run_trigger NOT NULL,
    asked_by        uuid REFERENCES users ON DELETE SET NULL,
    policy_id       uuid REFERENCES policies ON DELETE SET NULL,
    slot            timestamptz,                   -- when the policy said
    state           run_state NOT NULL DEFAULT 'waiting',
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    due_at          timestamptz NOT NULL,          -- not before; the slot, spread and moved into the window
    deadline_at     timestamptz NOT NULL,          -- not begun by then: missed
    attempts        int NOT NULL DEFAULT 0,        -- how often a device has taken it
    started_at      timestamptz,                   -- of the latest attempt
    ended_at        timestamptz,
    lease           bigint NOT NULL DEFAULT 0,     -- fence of the attempt: what an older one says is void
    lease_until     timestamptz,                   -- running and silent beyond this: the device is gone
    cancel_asked_at timestamptz,
    backup_id       uuid,                          -- the session that is at work for it
    snapshot_id     uuid,                          -- what came of it; for a restore, what is restored
    code            text,                          -- why it failed: a word of wire/fault, or ours
    problems        bigint NOT NULL DEFAULT 0,     -- files that could not be read (or restored)
    causes          jsonb NOT NULL DEFAULT '{}',   -- problems by cause: never names
    phase           text NOT NULL DEFAULT '',
    files           bigint NOT NULL DEFAULT 0,
    bytes           bigint NOT NULL DEFAULT 0,
    total_files     bigint NOT NULL DEFAULT 0,
    total_bytes     bigint NOT NULL DEFAULT 0,
    uploaded_bytes  bigint NOT NULL DEFAULT 0,
    sealed_order    bytea,                         -- of a restore: for the device
    sealed_report   bytea,                         -- what happened, by name: for the owner
    UNIQUE (policy_id, device_id, slot)
);
CREATE INDEX runs_device ON runs (device_id, created_at DESC, id DESC);
CREATE INDEX runs_created ON runs (created_at DESC, id DESC);
CREATE INDEX runs_open ON runs (device_id, due_at) WHERE state IN ('waiting', 'running');
CREATE INDEX runs_over ON runs (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX runs_policy ON runs (policy_id, slot DESC);
CREATE SEQUENCE run_lease;

-- +goose Down
DROP TABLE runs;
DROP SEQUENCE run_lease;
DROP TYPE run_state;
DROP TYPE run_trigger;
DROP TYPE run_kind;
