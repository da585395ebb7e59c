-- Format 1 of the ledger. Times are milliseconds of the Unix epoch. A released
-- format never changes: the next one is a step of its own beside this file.

CREATE TABLE ledger (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    scan_cache_key BLOB NOT NULL,
    scan_cache_rules TEXT NOT NULL
) STRICT;
INSERT INTO ledger VALUES (1, randomblob(16), '');

-- Narrow, because a sweep touches every row of what it saw.
CREATE TABLE finding (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    resolved INTEGER,
    open_ms INTEGER,
    reopened INTEGER NOT NULL
) STRICT;
CREATE INDEX finding_by_resolved ON finding (resolved, open_ms);

-- What an open finding says; gone when it is resolved.
CREATE TABLE content (
    number INTEGER PRIMARY KEY REFERENCES finding ON DELETE CASCADE,
    json TEXT NOT NULL
) STRICT;

CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    queued INTEGER NOT NULL,
    class TEXT NOT NULL,
    size INTEGER NOT NULL,
    id TEXT NOT NULL,
    timestamp_ms INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX outbox_by_class ON outbox (class, seq, size);

-- What became of events that are in the outbox no more.
CREATE TABLE fate (
    fate TEXT NOT NULL,
    kind TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (fate, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE scan_cache (
    chunk INTEGER PRIMARY KEY,
    hashes BLOB NOT NULL
) STRICT;

CREATE TABLE fact (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
