-- How a device is doing, decided in one place; and indices for reports about many runs.

-- +goose Up
CREATE INDEX runs_ended ON runs (device_id, ended_at DESC, id DESC) WHERE kind = 'backup' AND state IN ('succeeded', 'warned', 'failed', 'missed');
CREATE INDEX runs_succeeded ON runs (device_id, ended_at DESC) WHERE kind = 'backup' AND state IN ('succeeded', 'warned');
CREATE INDEX runs_time ON runs ((coalesce(slot, created_at)));
CREATE INDEX runs_failed ON runs (ended_at DESC, id DESC) WHERE state IN ('failed', 'missed');
CREATE INDEX backups_ended ON backups (ended_at);

-- The states are those of the schema's HealthState in lower case. What ended last decides; cancelled runs say nothing. A device for
-- which no policy ever had a slot is judged by what was backed up by hand. A function and not a view, because it takes a number of days and asks the clock by
-- name when it runs; STABLE and one SELECT, so that PostgreSQL writes it into the statement that asks, and a few devices cost a few look-ups.
-- +goose StatementBegin
CREATE FUNCTION device_health(stale int) RETURNS TABLE (
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

-- +goose Down
DROP FUNCTION device_health;
DROP INDEX backups_ended, runs_failed, runs_time, runs_succeeded, runs_ended;
