//! Whoever asks for the status, over a socket in the runtime directory.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::{Done, Purpose, Service};
use crate::status;

/// The longest that a reader of the status may take, and how many may read.
const READER_PATIENCE: Duration = Duration::from_secs(5);
const MAX_READERS: usize = 16;

impl Service {
    /// Tells whoever has connected what is known.
    pub(super) fn answer(&mut self, mut reader: UnixStream) {
        let readers = self.running.values();
        if readers
            .filter(|purpose| **purpose == Purpose::Answer)
            .count()
            >= MAX_READERS
        {
            return;
        }
        let text = status::json(self.state.describe(self.schedule.as_ref()));
        self.begin(Purpose::Answer, async move {
            // Whoever hangs up knows enough.
            let _ = timeout(READER_PATIENCE, reader.write_all(text.as_bytes())).await;
            Done::Answered
        });
    }
}

pub(super) fn listen(path: &Path) -> io::Result<UnixListener> {
    // Left over: whoever made it holds the lock no more.
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}
