//! Named values of the service: its last sweep, posture and delivery.

use rusqlite::{OptionalExtension as _, params};
use serde_json::Value;

use super::{Error, Ledger};

impl Ledger {
    /// What was last stored under `name`.
    pub fn fact(&self, name: &str) -> Result<Option<Value>, Error> {
        let text: Option<String> = self
            .connection
            .prepare_cached("SELECT value FROM fact WHERE name = ?1")?
            .query_row([name], |row| row.get(0))
            .optional()?;
        text.map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|error| Error::Corrupt(format!("the fact {name}: {error}")))
    }

    /// Stores `value` in place of what was there.
    pub fn set_fact(&mut self, name: &str, value: &Value) -> Result<(), Error> {
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO fact VALUES (?1, ?2)")?
            .execute(params![name, value.to_string()])?;
        Ok(())
    }
}
