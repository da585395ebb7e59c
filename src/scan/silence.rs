//! What stopped answering in earlier scans and still does not: each scan that
//! asked again would leave another thread behind.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use super::crew::Member;
use crate::source::files::lock;

/// The threads that were given up and have not come back, each with what it
/// touched, as seen from here.
#[derive(Debug, Default)]
pub struct Silences(Mutex<Vec<(PathBuf, Weak<Member>)>>);

impl Silences {
    /// Nothing is noted of a thread that did not say what it touches: every
    /// path would be beneath that.
    pub(super) fn note(&self, place: &Path, member: &Arc<Member>) {
        if place != Path::new("") {
            lock(&self.0).push((place.to_owned(), Arc::downgrade(member)));
        }
    }

    pub fn places(&self) -> Vec<PathBuf> {
        let mut threads = lock(&self.0);
        // A thread that ends lets go of its own.
        threads.retain(|(_, member)| member.strong_count() > 0);
        threads.iter().map(|(place, _)| place.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_silent_as_long_as_its_thread_does_not_come_back() {
        let silences = Silences::default();
        let threads = [Arc::new(Member::default()), Arc::new(Member::default())];
        silences.note(Path::new("/mnt/a"), &threads[0]);
        silences.note(Path::new("/mnt/b"), &threads[1]);
        silences.note(Path::new(""), &threads[1]);
        let [one, _other] = threads;
        drop(one);
        assert_eq!(silences.places(), [Path::new("/mnt/b")]);
    }
}
