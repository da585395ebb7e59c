//! The events that wait for delivery, in the order in which they came, within
//! a bound.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::{Error, Ledger, Limits, timestamp};

/// What a row takes on disk beside the body: its other columns and its part
/// of the index.
const ROW_BYTES: u64 = 128;

/// What an event tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    Opened,
    Changed,
    Resolved,
    Posture,
    Coverage,
    Heartbeat,
}

impl Class {
    pub const ALL: [Self; 6] = [
        Self::Opened,
        Self::Changed,
        Self::Resolved,
        Self::Posture,
        Self::Coverage,
        Self::Heartbeat,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Changed => "changed",
            Self::Resolved => "resolved",
            Self::Posture => "posture",
            Self::Coverage => "coverage",
            Self::Heartbeat => "heartbeat",
        }
    }

    fn of_name(name: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|class| class.name() == name)
            .ok_or_else(|| Error::Corrupt(format!("an event of the class {name:?}")))
    }
}

/// Who leaves a full outbox: the oldest of the first row that has any. That
/// there is a key is the last thing to be forgotten.
const LEAVE: [&[Class]; 3] = [
    &[Class::Resolved, Class::Coverage, Class::Heartbeat],
    &[Class::Changed, Class::Posture],
    &[Class::Opened],
];

/// An event as it waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The `event_id`.
    pub id: String,
    pub timestamp_ms: i64,
    pub class: Class,
    pub body: String,
}

impl Entry {
    /// What it counts for in [`Limits::outbox_bytes`].
    pub fn size(&self) -> u64 {
        (self.id.len() + self.body.len()) as u64 + ROW_BYTES
    }
}

/// The place of an event in the outbox; it is never given to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Seq(i64);

/// An event in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    pub seq: Seq,
    pub entry: Entry,
}

/// Why an event leaves the outbox. One whose time was the reason for a
/// rejection is stamped anew and sent again within the same delivery (see
/// `ship`), so that nothing of it has to be kept here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    Accepted,
    /// For good, with the name of the reason.
    Rejected(String),
}

/// What waits, and what became of what waited.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Depth {
    pub events: u64,
    /// As [`Entry::size`] counts them.
    pub bytes: u64,
    /// When the first that waits came.
    pub oldest: Option<Timestamp>,
    /// Since the ledger was begun, as all that follow.
    pub accepted: u64,
    /// By reason.
    pub rejected: BTreeMap<String, u64>,
    /// That had to leave a full outbox, by class.
    pub lost: BTreeMap<Class, u64>,
}

impl Ledger {
    /// Adds the events at the end. Returns how many had to leave for them.
    pub fn enqueue(&mut self, entries: &[Entry], now: Timestamp) -> Result<u64, Error> {
        let limits = self.limits;
        let transaction = self.write()?;
        for entry in entries {
            push(&transaction, entry, now)?;
        }
        let lost = bound(&transaction, limits)?;
        transaction.commit()?;
        Ok(lost)
    }

    /// The first that wait, in order: at most `events`, and at most `bytes` of
    /// bodies, but one in any case.
    pub fn pending(&self, events: usize, bytes: usize) -> Result<Vec<Queued>, Error> {
        let mut select = self.connection.prepare_cached(
            "SELECT seq, id, timestamp_ms, class, body FROM outbox ORDER BY seq LIMIT ?1",
        )?;
        let mut rows = select.query([events.saturating_add(self.unsettled.len())])?;
        let mut queued: Vec<Queued> = Vec::new();
        let mut left = bytes;
        while let Some(row) = rows.next()?
            && queued.len() < events
        {
            let seq = Seq(row.get(0)?);
            if self.unsettled.contains_key(&seq) {
                continue;
            }
            let body: String = row.get(4)?;
            if body.len() > left && !queued.is_empty() {
                break;
            }
            left = left.saturating_sub(body.len());
            let class: String = row.get(3)?;
            queued.push(Queued {
                seq,
                entry: Entry {
                    id: row.get(1)?,
                    timestamp_ms: row.get(2)?,
                    class: Class::of_name(&class)?,
                    body,
                },
            });
        }
        Ok(queued)
    }

    /// Takes the events out and counts what became of them. One that has left
    /// in the meantime, because the outbox was full, is counted as lost only.
    ///
    /// What was delivered must not be sent again. So on a full disk they go a
    /// few at a time, as many as the room that the journal keeps allows; and
    /// after a failure those that are left are pending no more, and are
    /// settled with the next ones.
    pub fn settle(&mut self, fates: &[(Seq, Fate)]) -> Result<(), Error> {
        self.unsettled.extend(fates.iter().cloned());
        let mut at_once = self.unsettled.len();
        while !self.unsettled.is_empty() {
            match self.settle_first(at_once) {
                Err(Error::Full) if at_once > 1 => at_once /= 2,
                settled => settled?,
            }
        }
        self.shrink();
        Ok(())
    }

    fn settle_first(&mut self, count: usize) -> Result<(), Error> {
        let some: Vec<(Seq, Fate)> = self
            .unsettled
            .iter()
            .take(count)
            .map(|(seq, fate)| (*seq, fate.clone()))
            .collect();
        let transaction = self.write()?;
        for (seq, fate) in &some {
            let deleted = transaction
                .prepare_cached("DELETE FROM outbox WHERE seq = ?1")?
                .execute([seq.0])?;
            if deleted == 0 {
                continue;
            }
            match fate {
                Fate::Accepted => count_fate(&transaction, ACCEPTED, "")?,
                Fate::Rejected(reason) => count_fate(&transaction, REJECTED, reason)?,
            }
        }
        transaction.commit()?;
        for (seq, _) in some {
            self.unsettled.remove(&seq);
        }
        Ok(())
    }

    pub fn depth(&self) -> Result<Depth, Error> {
        let (events, bytes) = total(&self.connection)?;
        let oldest: Option<i64> = self
            .connection
            .query_row(
                "SELECT queued FROM outbox ORDER BY seq LIMIT 1",
                [],
                |row| row.get(0),
            )
            .optional()?;
        let mut depth = Depth {
            events,
            bytes,
            oldest: oldest.map(timestamp).transpose()?,
            ..Depth::default()
        };
        let mut fates = self
            .connection
            .prepare_cached("SELECT fate, kind, count FROM fate")?;
        let mut rows = fates.query([])?;
        while let Some(row) = rows.next()? {
            let (fate, kind, count): (String, String, u64) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            match fate.as_str() {
                ACCEPTED => depth.accepted = count,
                LOST => {
                    depth.lost.insert(Class::of_name(&kind)?, count);
                }
                _ => {
                    depth.rejected.insert(kind, count);
                }
            }
        }
        Ok(depth)
    }
}

const ACCEPTED: &str = "accepted";
const REJECTED: &str = "rejected";
const LOST: &str = "lost";

pub(super) fn push(
    transaction: &Transaction<'_>,
    entry: &Entry,
    now: Timestamp,
) -> Result<(), Error> {
    transaction
        .prepare_cached(
            "INSERT INTO outbox (queued, class, size, id, timestamp_ms, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            now.as_millisecond(),
            entry.class.name(),
            entry.size(),
            entry.id,
            entry.timestamp_ms,
            entry.body,
        ])?;
    Ok(())
}

/// Lets events leave until the rest is within the bound, and counts them.
pub(super) fn bound(transaction: &Transaction<'_>, limits: Limits) -> Result<u64, Error> {
    let (_, mut bytes) = total(transaction)?;
    let mut lost = 0;
    while bytes > limits.outbox_bytes {
        let Some((seq, class, size)) = next_to_leave(transaction)? else {
            break;
        };
        transaction
            .prepare_cached("DELETE FROM outbox WHERE seq = ?1")?
            .execute([seq])?;
        count_fate(transaction, LOST, class.name())?;
        bytes = bytes.saturating_sub(size);
        lost += 1;
    }
    Ok(lost)
}

fn next_to_leave(transaction: &Transaction<'_>) -> Result<Option<(i64, Class, u64)>, Error> {
    let mut oldest = transaction
        .prepare_cached("SELECT seq, size FROM outbox WHERE class = ?1 ORDER BY seq LIMIT 1")?;
    for classes in LEAVE {
        let mut first = None;
        for class in classes {
            let found: Option<(i64, u64)> = oldest
                .query_row([class.name()], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let found = found.map(|(seq, size)| (seq, *class, size));
            first = [first, found]
                .into_iter()
                .flatten()
                .min_by_key(|(seq, ..)| *seq);
        }
        if first.is_some() {
            return Ok(first);
        }
    }
    Ok(None)
}

fn count_fate(transaction: &Transaction<'_>, fate: &str, kind: &str) -> Result<(), Error> {
    transaction
        .prepare_cached(
            "INSERT INTO fate VALUES (?1, ?2, 1) ON CONFLICT DO UPDATE SET count = count + 1",
        )?
        .execute([fate, kind])?;
    Ok(())
}

/// Events and bytes, read off the index.
fn total(connection: &Connection) -> Result<(u64, u64), Error> {
    let total = connection
        .prepare_cached(
            "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM outbox INDEXED BY outbox_by_class",
        )?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(total)
}
