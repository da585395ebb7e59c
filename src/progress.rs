//! How far a scan has come, on a terminal.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::scan::Progress;

const REDRAW: Duration = Duration::from_millis(120);

/// Runs `work` with a bar on standard error, if that is a terminal and the
/// reader did not ask for quiet. How much there is to scan is not known
/// before it is scanned, so the bar shows what was done.
pub fn watch<T: Send>(quiet: bool, work: impl FnOnce(&Arc<Progress>) -> T + Send) -> T {
    let progress = Arc::<Progress>::default();
    if quiet || !std::io::stderr().is_terminal() {
        return work(&progress);
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
        bar.set_style(style);
    }
    std::thread::scope(|scope| {
        let work = scope.spawn(|| work(&progress));
        while !work.is_finished() {
            let bytes = progress.bytes.load(Ordering::Relaxed);
            bar.set_message(format!(
                "{} places, {}, {} findings",
                progress.blobs.load(Ordering::Relaxed),
                bytesize::ByteSize(bytes).display().si(),
                progress.findings.load(Ordering::Relaxed)
            ));
            bar.tick();
            std::thread::park_timeout(REDRAW);
        }
        bar.finish_and_clear();
        match work.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
