-- Cleaning: snapshots can be pinned, and deleted ones taken back for a while; packs that nothing needs wait in
-- quarantine before they are unlinked; what was done to look after the store is remembered.

-- +goose Up
ALTER TABLE snapshots
    ADD pinned_at   timestamptz,                   -- its owner wants it kept: neither retention nor its owner deletes it
    ADD scheduled   boolean NOT NULL DEFAULT false, -- made by a policy: only such ones are subject to retention
    ADD deleted_by  text CHECK (deleted_by IN ('owner', 'retention')), -- null while live, and where a rebuild cannot know
    ADD purge_after timestamptz;                   -- until then a deletion can be taken back; null while live
UPDATE snapshots SET deleted_by = 'owner', purge_after = clock_timestamp() + interval '7 days' WHERE deleted_at IS NOT NULL;
ALTER TABLE snapshots ADD CHECK ((deleted_at IS NULL) = (purge_after IS NULL));
CREATE INDEX snapshots_purge ON snapshots (purge_after) WHERE purge_after IS NOT NULL;

ALTER TABLE packs
    ADD dead       int NOT NULL DEFAULT 0,         -- objects in its index whose rows a sweep has deleted: objects - shadowed - dead rows point here
    ADD dead_bytes bigint NOT NULL DEFAULT 0,      -- of their bodies
    ADD swept_at   timestamptz;                    -- in quarantine since: no row points here, and the blob will be unlinked
CREATE INDEX packs_swept ON packs (swept_at) WHERE swept_at IS NOT NULL;

ALTER TABLE spaces
    ADD dirty_at  timestamptz,                     -- since then there is something to sweep
    ADD swept_at  timestamptz;                     -- when a sweep last came to its end

CREATE INDEX backups_broken ON backups (space_id, ended_at) WHERE state IN ('aborted', 'void');

-- One row for each run of what looks after the store: scrub, cleaning, retention, copies of the database.
CREATE TABLE care_log (
    id          uuid PRIMARY KEY,
    kind        text NOT NULL,
    space_id    int REFERENCES spaces ON DELETE CASCADE, -- null: it was about the whole store
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at    timestamptz,
    ok          boolean,                           -- null while it runs
    report      jsonb,
    error       text
);
CREATE INDEX care_log_started ON care_log (started_at DESC, id DESC);

-- +goose Down
DROP TABLE care_log;
DROP INDEX backups_broken;
ALTER TABLE spaces DROP dirty_at, DROP swept_at;
ALTER TABLE packs DROP dead, DROP dead_bytes, DROP swept_at;
ALTER TABLE snapshots DROP pinned_at, DROP scheduled, DROP deleted_by, DROP purge_after;
