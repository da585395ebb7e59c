//! Which findings are open: opened, changed and resolved are decided here, and
//! told in the transaction that decides.

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Row, Transaction, params};
use serde_json::Value;

use super::outbox::{self, Entry};
use super::{
    Changes, Error, Ledger, MAX_RESOLVED, Open, OpenCounts, Pass, RESOLVED_FOR, Resolutions,
    Standing, Transition, timestamp,
};
use crate::finding::Finding;

/// The fields whose change is told, and where they stand in the JSON.
const TELLING: [(&str, &str); 9] = [
    ("rule", "/rule"),
    ("severity", "/severity"),
    ("confidence", "/confidence"),
    ("same_account", "/same_account"),
    ("canary", "/canary"),
    ("location.git_state", "/location/git_state"),
    ("file.uid", "/file/uid"),
    ("file.mode", "/file/mode"),
    ("file.baked_into_image", "/file/baked_into_image"),
];

/// Open findings that are looked through at a time, so that memory does not
/// grow with their number.
const PAGE: u32 = 256;

/// Bytes of a finding that is taken: names of files, members, units and
/// processes, each of them bounded, are far from it.
const MAX_BYTES: usize = 1024 * 1024;

/// What an embedded metric takes of values.
const NEWEST: usize = 100;

const OPEN: &str = "SELECT number, id, first_seen, last_seen, reopened, json
     FROM finding JOIN content USING (number)";

impl Ledger {
    /// Takes in what a pass saw. `event` is called for each transition, in the
    /// order found, then resolved; what it returns is put into the outbox with
    /// the change, in one transaction. Where this fails nothing is changed,
    /// although `event` may have been called.
    pub fn record(
        &mut self,
        pass: &Pass<'_>,
        now: Timestamp,
        event: &mut dyn FnMut(&Transition<'_>) -> Option<Entry>,
    ) -> Result<Changes, Error> {
        let limits = self.limits;
        let transaction = self.write()?;
        let open = transaction.query_row("SELECT COUNT(*) FROM content", [], |row| row.get(0))?;
        let mut recording = Recording {
            transaction: &transaction,
            now,
            room: limits.open_findings.saturating_sub(open),
            event,
            changes: Changes::default(),
        };
        let mut seen = HashSet::with_capacity(pass.found.len());
        for finding in pass.found {
            if seen.insert(finding.id.as_str()) {
                recording.see(finding)?;
            }
        }
        recording.resolve(&seen, pass.standing)?;
        let mut changes = recording.changes;
        changes.lost = outbox::bound(&transaction, limits)?;
        if changes.resolved > 0 {
            forget_resolved(&transaction, now)?;
        }
        transaction.commit()?;
        self.shrink();
        Ok(changes)
    }

    /// All open findings, in the order in which they were first opened.
    pub fn open_findings(&self) -> Result<Vec<Open>, Error> {
        let mut select = self
            .connection
            .prepare_cached(&format!("{OPEN} ORDER BY number"))?;
        let mut rows = select.query([])?;
        let mut open = Vec::new();
        while let Some(row) = rows.next()? {
            open.push(read_open(row)?);
        }
        Ok(open)
    }

    /// Whether the finding of this `id` is open.
    pub fn is_open(&self, id: &str) -> Result<bool, Error> {
        let known = self
            .connection
            .prepare_cached("SELECT 1 FROM finding JOIN content USING (number) WHERE id = ?1")?
            .exists([id])?;
        Ok(known)
    }

    /// How many findings are open, without reading them all into memory.
    pub fn count_open(&self) -> Result<OpenCounts, Error> {
        let mut counts = OpenCounts::default();
        let mut select = self
            .connection
            .prepare_cached("SELECT json ->> 'severity', COUNT(*) FROM content GROUP BY 1")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let (severity, count): (String, u64) = (row.get(0)?, row.get(1)?);
            counts.findings += count;
            match severity.as_str() {
                "critical" => counts.critical = count,
                "high" => counts.high = count,
                "medium" => counts.medium = count,
                "low" => counts.low = count,
                _ => counts.info += count,
            }
        }
        // An ID or a secret alone is the credential that both stand for
        // elsewhere.
        (counts.credentials, counts.static_credentials) = self
            .connection
            .prepare_cached(
                "WITH key (id, secret, is_kept) AS (
                     SELECT json ->> 'access_key_id', json ->> 'secret_fingerprint',
                         MAX(json ->> 'severity' IN ('critical', 'high', 'medium'))
                     FROM content GROUP BY 1, 2),
                 pair (id, secret, is_kept) AS (
                     SELECT * FROM key WHERE id IS NOT NULL AND secret IS NOT NULL),
                 credential (id, is_kept) AS (
                     SELECT id, is_kept FROM pair
                     UNION ALL
                     SELECT id, is_kept FROM key WHERE secret IS NULL AND id IS NOT NULL
                         AND id NOT IN (SELECT id FROM pair)
                     UNION ALL
                     SELECT NULL, NULL FROM key WHERE id IS NULL AND secret IS NOT NULL
                         AND secret NOT IN (SELECT secret FROM pair))
                 SELECT COUNT(*),
                     COUNT(DISTINCT id) FILTER (WHERE is_kept AND id LIKE 'AKIA%')
                 FROM credential",
            )?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(counts)
    }

    /// How fast what was resolved at `since` or later was resolved, as far as
    /// it is remembered and was not opened again.
    pub fn resolutions(&self, since: Timestamp) -> Result<Resolutions, Error> {
        let since = since.as_millisecond();
        let (count, sum): (u64, u64) = self
            .connection
            .prepare_cached(
                "SELECT COUNT(*), COALESCE(SUM(open_ms), 0) FROM finding WHERE resolved >= ?1",
            )?
            .query_row([since], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut select = self.connection.prepare_cached(
            "SELECT open_ms FROM finding WHERE resolved >= ?1
             ORDER BY resolved DESC, number DESC LIMIT ?2",
        )?;
        let newest = select
            .query_map(params![since, NEWEST], |row| row.get(0))?
            .map(|ms| ms.map(Duration::from_millis))
            .collect::<Result<_, _>>()?;
        Ok(Resolutions {
            count,
            mean: sum.checked_div(count).map(Duration::from_millis),
            newest,
        })
    }
}

impl Ledger {
    /// Opens what is open in `other`, with its times, and resolves what else
    /// is open here if `other` `knew_all` of it; puts `events`, which tell of
    /// it, into the outbox. Tells nothing itself: for findings that were told
    /// by a ledger that stood in for this one.
    pub fn take_over(
        &mut self,
        other: &Self,
        knew_all: bool,
        events: &[Entry],
        now: Timestamp,
    ) -> Result<(), Error> {
        let open = other.open_findings()?;
        let limits = self.limits;
        let transaction = self.write()?;
        let known: HashSet<&str> = open.iter().map(|open| open.id.as_str()).collect();
        for open in &open {
            adopt(&transaction, open)?;
        }
        let mut recording = Recording {
            transaction: &transaction,
            now,
            room: 0,
            event: &mut |_| None,
            changes: Changes::default(),
        };
        if knew_all {
            recording.resolve(&known, &|_| Standing::Gone)?;
        }
        for event in events {
            outbox::push(&transaction, event, now)?;
        }
        outbox::bound(&transaction, limits)?;
        transaction.commit()?;
        Ok(())
    }
}

/// Opens a finding that is open elsewhere, unless it is open here.
fn adopt(transaction: &Transaction<'_>, open: &Open) -> Result<(), Error> {
    let number: i64 = transaction
        .prepare_cached(
            "INSERT INTO finding (id, first_seen, last_seen, reopened) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (id) DO UPDATE SET
                 first_seen = IIF(resolved IS NULL, first_seen, excluded.first_seen),
                 last_seen = excluded.last_seen,
                 reopened = MAX(reopened, excluded.reopened),
                 resolved = NULL, open_ms = NULL
             RETURNING number",
        )?
        .query_row(
            params![
                open.id,
                open.first_seen.as_millisecond(),
                open.last_seen.as_millisecond(),
                open.reopened,
            ],
            |row| row.get(0),
        )?;
    transaction
        .prepare_cached("INSERT OR REPLACE INTO content VALUES (?1, ?2)")?
        .execute(params![number, open.json])?;
    Ok(())
}

/// A pass on its way into the ledger.
struct Recording<'a> {
    transaction: &'a Transaction<'a>,
    now: Timestamp,
    /// For further open findings.
    room: u64,
    event: &'a mut dyn FnMut(&Transition<'_>) -> Option<Entry>,
    changes: Changes,
}

impl Recording<'_> {
    fn tell(&mut self, transition: &Transition<'_>) -> Result<(), Error> {
        match (self.event)(transition) {
            Some(entry) => outbox::push(self.transaction, &entry, self.now),
            None => Ok(()),
        }
    }

    fn see(&mut self, finding: &Finding) -> Result<(), Error> {
        let json = serde_json::to_string(finding).map_err(|e| Error::Failed(e.to_string()))?;
        // One that does not fit must not keep out the others.
        if json.len() > MAX_BYTES {
            self.changes.not_taken += 1;
            return Ok(());
        }
        let known: Option<(i64, String)> = self
            .transaction
            .prepare_cached(
                "SELECT number, json FROM finding JOIN content USING (number) WHERE id = ?1",
            )?
            .query_row([&finding.id], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((number, before)) = known else {
            return self.open(finding, &json);
        };
        if before != json {
            self.change(number, finding, &before, &json)?;
        }
        self.transaction
            .prepare_cached("UPDATE finding SET last_seen = MAX(first_seen, ?2) WHERE number = ?1")?
            .execute(params![number, self.now.as_millisecond()])?;
        Ok(())
    }

    fn open(&mut self, finding: &Finding, json: &str) -> Result<(), Error> {
        if self.room == 0 {
            self.changes.not_taken += 1;
            return Ok(());
        }
        self.room -= 1;
        let (number, reopened): (i64, u64) = self
            .transaction
            .prepare_cached(
                "INSERT INTO finding (id, first_seen, last_seen, reopened) VALUES (?1, ?2, ?2, 0)
                 ON CONFLICT (id) DO UPDATE SET first_seen = ?2, last_seen = ?2,
                     resolved = NULL, open_ms = NULL, reopened = reopened + 1
                 RETURNING number, reopened",
            )?
            .query_row(params![finding.id, self.now.as_millisecond()], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        self.transaction
            .prepare_cached("INSERT INTO content VALUES (?1, ?2)")?
            .execute(params![number, json])?;
        self.changes.opened += 1;
        self.tell(&Transition::Opened { finding, reopened })
    }

    fn change(
        &mut self,
        number: i64,
        finding: &Finding,
        before: &str,
        json: &str,
    ) -> Result<(), Error> {
        let (fields, json) = differing(before, json)?;
        if !fields.is_empty() {
            let open = self
                .transaction
                .prepare_cached(&format!("{OPEN} WHERE number = ?1"))?
                .query_row([number], |row| Ok(read_open(row)))??;
            self.changes.changed += 1;
            self.tell(&Transition::Changed {
                finding,
                open: &open,
                fields: &fields,
            })?;
        }
        self.transaction
            .prepare_cached("UPDATE content SET json = ?2 WHERE number = ?1")?
            .execute(params![number, json])?;
        Ok(())
    }

    /// Asks for the standing of each open finding that was not seen.
    fn resolve(
        &mut self,
        seen: &HashSet<&str>,
        standing: &dyn Fn(&Open) -> Standing,
    ) -> Result<(), Error> {
        let mut after = i64::MIN;
        loop {
            let page = self.page(after)?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = *last;
            for (number, open) in page {
                if seen.contains(open.id.as_str()) {
                    continue;
                }
                match standing(&open) {
                    Standing::NotLooked => {}
                    standing => self.close(number, open, standing)?,
                }
            }
        }
    }

    fn page(&self, after: i64) -> Result<Vec<(i64, Open)>, Error> {
        let mut select = self.transaction.prepare_cached(&format!(
            "{OPEN} WHERE number > ?1 ORDER BY number LIMIT ?2"
        ))?;
        let mut rows = select.query(params![after, PAGE])?;
        let mut page = Vec::new();
        while let Some(row) = rows.next()? {
            page.push((row.get(0)?, read_open(row)?));
        }
        Ok(page)
    }

    fn close(&mut self, number: i64, mut open: Open, standing: Standing) -> Result<(), Error> {
        let resolved_at = self.now.max(open.first_seen);
        // The clock ran ahead when it was last seen.
        open.last_seen = open.last_seen.min(resolved_at);
        let open_for = resolved_at.duration_since(open.first_seen).unsigned_abs();
        let open_ms = i64::try_from(open_for.as_millis()).unwrap_or(i64::MAX);
        self.transaction
            .prepare_cached("UPDATE finding SET resolved = ?2, open_ms = ?3 WHERE number = ?1")?
            .execute(params![number, resolved_at.as_millisecond(), open_ms])?;
        self.transaction
            .prepare_cached("DELETE FROM content WHERE number = ?1")?
            .execute([number])?;
        self.room += 1;
        self.changes.resolved += 1;
        self.tell(&Transition::Resolved {
            open: &open,
            standing,
            resolved_at,
            open_for,
        })
    }
}

fn read_open(row: &Row<'_>) -> Result<Open, Error> {
    let json: String = row.get(5)?;
    Ok(Open {
        id: row.get(1)?,
        first_seen: timestamp(row.get(2)?)?,
        last_seen: timestamp(row.get(3)?)?,
        reopened: row.get(4)?,
        facts: serde_json::from_str(&json).map_err(|error| unreadable(&error))?,
        json,
    })
}

fn unreadable(error: &serde_json::Error) -> Error {
    Error::Corrupt(format!("the content of a finding: {error}"))
}

/// The fields that differ, and `after` with what is not known now as it was
/// known `before`: while the metadata service is away after a start, nobody
/// knows whose account it is, and nothing has changed.
fn differing<'a>(before: &str, after: &'a str) -> Result<(Vec<&'static str>, Cow<'a, str>), Error> {
    let parse = |json| serde_json::from_str::<Value>(json).map_err(|error| unreadable(&error));
    let (before, mut now) = (parse(before)?, parse(after)?);
    let (mut fields, mut kept) = (Vec::new(), false);
    for (name, pointer) in TELLING {
        let known = before.pointer(pointer).unwrap_or(&Value::Null);
        match now.pointer_mut(pointer) {
            Some(value) if value == known => {}
            Some(value) if value.is_null() => {
                value.clone_from(known);
                kept = true;
            }
            None if known.is_null() => {}
            _ => fields.push(name),
        }
    }
    let json = if kept {
        now.to_string().into()
    } else {
        after.into()
    };
    Ok((fields, json))
}

/// Keeps what is remembered of resolved findings within its bounds.
fn forget_resolved(transaction: &Transaction<'_>, now: Timestamp) -> Result<(), Error> {
    let oldest = now.saturating_sub(RESOLVED_FOR).unwrap_or(Timestamp::MIN);
    transaction
        .prepare_cached("DELETE FROM finding WHERE resolved < ?1")?
        .execute([oldest.as_millisecond()])?;
    transaction
        .prepare_cached(
            "DELETE FROM finding WHERE number IN (
                 SELECT number FROM finding WHERE resolved IS NOT NULL
                 ORDER BY resolved DESC, number DESC LIMIT -1 OFFSET ?1)",
        )?
        .execute([MAX_RESOLVED])?;
    Ok(())
}
