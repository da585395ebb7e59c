//! What the file system says of the file that an object is stored in.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

use crate::finding::FileFacts;
use crate::source::files::{self, Files};

/// Of `file`, open, which is in the folder of objects `store`, if in any.
///
/// git writes anew what it packs and what it fetches, so that a file which is
/// younger than the instance tells something only where its store is so, too.
pub(super) fn facts(
    files: &Files<'_>,
    file: impl AsFd,
    store: Option<&Path>,
) -> Option<Arc<FileFacts>> {
    let mut facts = files::facts(file, files.pending_time)?;
    if facts.baked_into_image == Some(false)
        && let Some(store) = store
    {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let store = rustix::fs::open(store, flags, Mode::empty()).ok();
        let store = store.and_then(|store| files::facts(store, files.pending_time));
        facts.baked_into_image = store
            .and_then(|store| store.baked_into_image)
            .filter(|is_baked| !is_baked);
    }
    Some(Arc::new(facts))
}
