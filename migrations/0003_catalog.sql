-- The catalog: what is stored where. Spaces, packs and objects have small integer keys, because objects are
-- many: a row here costs about 92 bytes with its index.

-- +goose Up
CREATE TABLE spaces (
    id         int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public_id  uuid NOT NULL UNIQUE,               -- names the space's folder in the store
    owner_id   uuid UNIQUE REFERENCES users ON DELETE SET NULL,
    epoch      bigint NOT NULL DEFAULT 1,          -- rises with every sweep
    chunk_min  int NOT NULL,
    chunk_avg  int NOT NULL,
    chunk_max  int NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE SEQUENCE backup_fence;

CREATE TYPE backup_state AS ENUM ('active', 'committed', 'aborted', 'void');

-- A backup session. Only the database's clock decides whether it is alive.
CREATE TABLE backups (
    id              uuid PRIMARY KEY,
    space_id        int NOT NULL REFERENCES spaces ON DELETE CASCADE,
    device_id       uuid NOT NULL REFERENCES devices ON DELETE CASCADE,
    fence           bigint NOT NULL DEFAULT nextval('backup_fence'),
    state           backup_state NOT NULL DEFAULT 'active',
    started_at      timestamptz NOT NULL DEFAULT now(),
    last_seen_at    timestamptz NOT NULL DEFAULT now(),
    ended_at        timestamptz,
    phase           text NOT NULL DEFAULT '',
    files           bigint NOT NULL DEFAULT 0,
    bytes           bigint NOT NULL DEFAULT 0,
    total_files     bigint NOT NULL DEFAULT 0,
    total_bytes     bigint NOT NULL DEFAULT 0,
    uploaded_bytes  bigint NOT NULL DEFAULT 0,
    problems        bigint NOT NULL DEFAULT 0
);
CREATE INDEX backups_device ON backups (device_id, started_at DESC);
CREATE UNIQUE INDEX backups_one_active ON backups (device_id) WHERE state = 'active';
CREATE INDEX backups_alive ON backups (space_id, last_seen_at) WHERE state = 'active';

CREATE TABLE packs (
    id           int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    space_id     int NOT NULL REFERENCES spaces ON DELETE CASCADE,
    name         bytea NOT NULL,                   -- SHA-256 of its bytes
    size         int NOT NULL,
    objects      int NOT NULL,                     -- in its index
    shadowed     int NOT NULL DEFAULT 0,           -- of them, those whose row points to another pack: spare copies
    created_at   timestamptz NOT NULL DEFAULT now(),
    verified_at  timestamptz NOT NULL DEFAULT clock_timestamp(), -- when its hash was last seen to be right
    damaged_at   timestamptz,                      -- a scrub found it wrong or lost: what it holds counts as missing
    lost         boolean NOT NULL DEFAULT false,   -- damaged in that there is no such blob
    UNIQUE (space_id, name)
);
CREATE INDEX packs_damaged ON packs (space_id) WHERE damaged_at IS NOT NULL;

CREATE TABLE objects (
    space_id  int  NOT NULL,
    id        uuid NOT NULL,
    pack_id   int  NOT NULL,                       -- no reference: its check would cost more than the row, and pack and objects come and go in one transaction
    "offset"  int  NOT NULL,
    length    int  NOT NULL,
    PRIMARY KEY (space_id, id)
);

-- What tree nodes refer to. Apart from objects because they are a hundredth of them and far wider. For every row
-- there is one in objects: they come and go in one transaction.
CREATE TABLE nodes (
    space_id  int     NOT NULL,
    id        uuid    NOT NULL,
    children  bytea   NOT NULL,                    -- 16 bytes a tree node
    data      bytea   NOT NULL,                    -- 16 bytes a chunk
    complete  boolean NOT NULL DEFAULT false,      -- everything below it was seen to be stored
    PRIMARY KEY (space_id, id)
);
-- Ids are random: trying to compress them is idle.
ALTER TABLE nodes ALTER children SET STORAGE EXTERNAL, ALTER data SET STORAGE EXTERNAL;

CREATE TABLE snapshots (
    id              uuid PRIMARY KEY,
    space_id        int NOT NULL REFERENCES spaces ON DELETE CASCADE,
    device_id       uuid NOT NULL,                 -- no reference: rebuild-index restores snapshots of devices it has never heard of
    backup_id       uuid UNIQUE,
    root            uuid NOT NULL,
    manifest        bytea NOT NULL,
    created_at      timestamptz NOT NULL,
    files           bigint NOT NULL,
    bytes           bigint NOT NULL,
    problems        bigint NOT NULL,
    uploaded_bytes  bigint NOT NULL,
    deleted_at      timestamptz
);
CREATE INDEX snapshots_space ON snapshots (space_id, created_at DESC, id DESC);
CREATE INDEX snapshots_device ON snapshots (device_id, created_at DESC, id DESC);

-- +goose Down
DROP TABLE snapshots, nodes, objects, packs, backups, spaces;
DROP TYPE backup_state;
DROP SEQUENCE backup_fence;
