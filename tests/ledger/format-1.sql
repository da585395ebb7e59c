-- A ledger as the first release left it: two findings that are open, one that
-- was resolved, two events, a scan cache. It is never changed.

PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA application_id = 0x726f6c63;
PRAGMA user_version = 1;

CREATE TABLE ledger (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    scan_cache_key BLOB NOT NULL,
    scan_cache_rules TEXT NOT NULL
) STRICT;

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

INSERT INTO ledger VALUES (1, x'07070707070707070707070707070707', 'rules-1');

INSERT INTO finding VALUES
    (1, '0123456789abcdef0123456789abcdef', 1790000000000, 1790000060000, NULL, NULL, 0),
    (2, 'fedcba9876543210fedcba9876543210', 1790000000000, 1790000000000, 1790000030000, 30000, 0),
    (3, '00112233445566778899aabbccddeeff', 1790000050000, 1790000060000, NULL, NULL, 2);

INSERT INTO content VALUES
    (1, '{"id":"0123456789abcdef0123456789abcdef","rule":"aws.secret-access-key","severity":"high","confidence":"high","title":"AWS secret access key without its ID","access_key_id":null,"account_id":null,"same_account":null,"canary":false,"secret_fingerprint":"sha256:0123456789abcdef","location":{"source":"file","path":"/srv/app.env","member":null,"line":3,"column":17,"encoding":[],"commit":null,"pid":null,"exe":null,"uid":null,"unit":null,"container":null},"occurrences":1,"file":null,"controls":[],"remediation":"remove it"}'),
    (3, '{"id":"00112233445566778899aabbccddeeff","rule":"imds.v1-enabled","severity":"medium","confidence":"high","title":"the instance metadata service answers without a token (IMDSv1)","access_key_id":null,"account_id":null,"same_account":null,"canary":false,"secret_fingerprint":null,"location":{"source":"posture","path":null,"member":null,"line":null,"column":null,"encoding":[],"commit":null,"pid":null,"exe":null,"uid":null,"unit":null,"container":null},"occurrences":1,"file":null,"controls":[],"remediation":"require tokens"}');

INSERT INTO outbox VALUES
    (7, 1790000050000, 'opened', 162, 'e7', 1790000050000, '{"event_id":"e7","event":"opened"}'),
    (8, 1790000060000, 'heartbeat', 165, 'e8', 1790000060000, '{"event_id":"e8","event":"heartbeat"}');

INSERT INTO fate VALUES ('accepted', '', 6), ('lost', 'heartbeat', 1), ('rejected', 'too-large', 1);

INSERT INTO scan_cache VALUES (0, x'00000000000000010000000000000002');

INSERT INTO fact VALUES ('sweep', '{"complete":true}');
