-- Replicas: other stores that hold what the store holds. What a replica lacks has a row, what it has does not: a replica
-- that is up to date costs nothing. The rows are written by triggers, in the transaction that makes a pack or a snapshot known,
-- so that nothing that was ever acknowledged can be forgotten. And the picture that an installation shows of itself.

-- +goose Up
CREATE TABLE replicas (
    id            int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    url           text NOT NULL UNIQUE,            -- as it was configured; holds no secret
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    configured_at timestamptz NOT NULL DEFAULT clock_timestamp(), -- when a worker last had it among its replicas
    made_at       timestamptz,                     -- since then it is a store: if it is none any more, it is not mounted, and is never made anew
    reached_at    timestamptz,                     -- when all that could be copied was last copied without a failure
    failing_since timestamptz,                     -- null: the last try went well
    error         text,                            -- of the last try
    checked_at    timestamptz,                     -- when it was last listed from end to end
    strays        bigint NOT NULL DEFAULT 0,       -- packs in it that nobody here knows, at that time: they are left alone
    missing       bigint NOT NULL DEFAULT 0,       -- packs that should have been in it and were not, at that time
    scrubbed_pack int NOT NULL DEFAULT 0,          -- packs up to this number were read again in this round
    scrubbed_at   timestamptz,                     -- when a round last came to its end
    damaged       bigint NOT NULL DEFAULT 0        -- copies that were found wrong, ever
);

-- Packs that a replica lacks.
CREATE TABLE replica_packs (
    replica_id  int NOT NULL REFERENCES replicas ON DELETE CASCADE,
    pack_id     int NOT NULL REFERENCES packs ON DELETE CASCADE,
    since       timestamptz NOT NULL DEFAULT clock_timestamp(),
    wrong       boolean NOT NULL DEFAULT false,    -- a copy is there and is wrong: it is replaced
    tries       int NOT NULL DEFAULT 0,            -- that found the pack unreadable in the store
    next_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (replica_id, pack_id)
);
CREATE INDEX replica_packs_pack ON replica_packs (pack_id);

-- Spaces whose records are to be compared.
CREATE TABLE replica_spaces (
    replica_id  int NOT NULL REFERENCES replicas ON DELETE CASCADE,
    space_id    int NOT NULL REFERENCES spaces ON DELETE CASCADE,
    since       timestamptz NOT NULL DEFAULT clock_timestamp(),
    stamp       bigint NOT NULL DEFAULT 0,         -- rises with every change, so that one that comes during a comparison is not lost
    PRIMARY KEY (replica_id, space_id)
);

-- What has left the store, and leaves the replica much later.
CREATE TABLE replica_gone (
    replica_id  int NOT NULL REFERENCES replicas ON DELETE CASCADE,
    space       uuid NOT NULL,                     -- its public id: the space itself may go
    what        bytea NOT NULL,                    -- a pack's name (32 bytes) or a snapshot's id (16)
    gone_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (space, what, replica_id)          -- in this order: whoever makes a pack known asks without a replica
);
CREATE INDEX replica_gone_at ON replica_gone (replica_id, gone_at);

-- +goose StatementBegin
CREATE FUNCTION replicate_pack() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO replica_gone (replica_id, space, what)
            SELECT r.id, s.public_id, OLD.name FROM replicas r, spaces s WHERE s.id = OLD.space_id
            ON CONFLICT DO NOTHING;
        RETURN NULL;
    END IF;
    INSERT INTO replica_packs (replica_id, pack_id) SELECT r.id, NEW.id FROM replicas r ORDER BY r.id;
    DELETE FROM replica_gone g USING spaces s WHERE s.id = NEW.space_id AND g.space = s.public_id AND g.what = NEW.name;
    RETURN NULL;
END $$;

CREATE FUNCTION replicate_space(space int) RETURNS void LANGUAGE sql AS $$
    INSERT INTO replica_spaces (replica_id, space_id) SELECT r.id, space FROM replicas r ORDER BY r.id
        ON CONFLICT (replica_id, space_id) DO UPDATE SET stamp = replica_spaces.stamp + 1
$$;

CREATE FUNCTION replicate_snapshot() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO replica_gone (replica_id, space, what)
            SELECT r.id, s.public_id, uuid_send(OLD.id) FROM replicas r, spaces s WHERE s.id = OLD.space_id
            ON CONFLICT DO NOTHING;
        RETURN NULL;
    END IF;
    PERFORM replicate_space(NEW.space_id);
    IF TG_OP = 'INSERT' THEN
        DELETE FROM replica_gone g USING spaces s WHERE s.id = NEW.space_id AND g.space = s.public_id AND g.what = uuid_send(NEW.id);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION replicate_new_space() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM replicate_space(NEW.id);
    RETURN NULL;
END $$;
-- +goose StatementEnd

CREATE TRIGGER replicate AFTER INSERT OR DELETE ON packs FOR EACH ROW EXECUTE FUNCTION replicate_pack();
CREATE TRIGGER replicate AFTER INSERT OR DELETE OR UPDATE OF deleted_at ON snapshots FOR EACH ROW EXECUTE FUNCTION replicate_snapshot();
CREATE TRIGGER replicate AFTER INSERT ON spaces FOR EACH ROW EXECUTE FUNCTION replicate_new_space();

-- The picture of the installation; one row or none.
CREATE TABLE logo (
    one         boolean PRIMARY KEY DEFAULT true CHECK (one),
    png         bytea NOT NULL,                    -- written by this server from what was uploaded
    hash        text NOT NULL,                     -- of png, in its address
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_by  uuid REFERENCES users ON DELETE SET NULL
);

-- +goose Down
DROP TABLE logo;
DROP TRIGGER replicate ON spaces;
DROP TRIGGER replicate ON snapshots;
DROP TRIGGER replicate ON packs;
DROP FUNCTION replicate_new_space, replicate_snapshot, replicate_space, replicate_pack;
DROP TABLE replica_gone, replica_spaces, replica_packs, replicas;
