//! `role.shadowed` and `imds.endpoint-override`: whose SDK comes to a static
//! key before it comes to the role, and who asks for the role in the wrong
//! place.
//!
//! Every process, unit and account of the host is taken through the default
//! credential chain of the SDK that it seems to use, or of all of them where
//! nothing tells. Nothing is run and nobody is asked.

mod chain;
mod elf;
mod endpoint;
mod ini;
mod resolve;
mod runtime;
mod survey;
mod told;
mod tools;
mod variables;
mod view;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::finding::{Finding, Instance, PostureCheck};
use survey::Survey;

pub(super) use told::Attached;

/// Time for a look at the host; a home directory on a network may never
/// answer.
const PATIENCE: Duration = Duration::from_secs(4);

/// What was seen of a host.
pub(super) struct Seen(Survey);

/// The last look at a host. One that does not come back costs its thread, and
/// the service looks every few minutes: so nobody looks where it still waits.
#[derive(Clone, Default)]
pub struct Looks(Arc<Mutex<Weak<Mutex<Survey>>>>);

impl std::fmt::Debug for Looks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Looks").finish_non_exhaustive()
    }
}

impl Looks {
    fn begin(&self) -> Option<Arc<Mutex<Survey>>> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.strong_count() > 0 {
            return None;
        }
        let survey = Arc::default();
        *last = Arc::downgrade(&survey);
        Some(survey)
    }
}

/// Looks at the host below `root`, on a thread of its own that is left alone
/// when it takes too long, or longer than to `end`.
pub(super) async fn look(root: &Path, looks: &Looks, end: Option<Instant>) -> Seen {
    let Some(survey) = looks.begin() else {
        return Seen(Survey::default());
    };
    let (told, root) = (Arc::clone(&survey), root.to_owned());
    let looking = tokio::task::spawn_blocking(move || survey::run(&root, &told));
    let patience = Instant::now() + PATIENCE;
    let end = end.map_or(patience, |end| end.min(patience));
    if let Ok(Err(error)) = timeout_at(end, looking).await {
        log::error!("looking at the host: {error}");
    }
    let mut survey = survey.lock().unwrap_or_else(PoisonError::into_inner);
    Seen(std::mem::take(&mut survey))
}

impl Seen {
    /// `imds.endpoint-override`.
    pub(super) fn check_overrides(&self) -> PostureCheck {
        told::check_overrides(&self.0)
    }

    /// Whether everybody was looked at and all that was seen is told.
    pub(super) fn is_whole(&self) -> bool {
        told::is_whole(&self.0)
    }

    /// `role.shadowed`, with a finding for each holder of a key in the
    /// role's place.
    pub(super) fn check_shadowed(
        &self,
        attached: &Attached<'_>,
        instance: &Instance,
        redact: bool,
    ) -> (PostureCheck, Vec<Finding>) {
        told::check_shadowed(&self.0, attached, instance, redact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_looks_where_the_last_look_still_waits() {
        let looks = Looks::default();
        let waits = looks.begin();
        assert!(waits.is_some() && looks.begin().is_none());
        drop(waits);
        assert!(looks.begin().is_some());
    }
}
