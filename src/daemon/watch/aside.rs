//! The watching on a thread of its own: a directory whose file system stopped
//! answering must not hold up the loop, which would then do nothing at all.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::{Error, Hang, Notice, Settings, Steps, Watch};

/// A step longer than this hangs.
const STEP_PATIENCE: Duration = Duration::from_secs(30);

/// How often the steps of the start are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Lots of notices that are not taken yet; more are left to gather in the
/// kernel's queue.
const MAX_LOTS: usize = 4;

/// What is watched, by another thread, which ends when this is dropped.
#[derive(Debug)]
pub struct Aside {
    lots: mpsc::Receiver<Lot>,
    watched: usize,
    /// Counts up when the thread begins to wait, and when it goes on: odd
    /// while it waits.
    turns: Arc<AtomicU64>,
    steps: Arc<Steps>,
    /// A turn that was seen at work, its steps by then, and since when.
    seen: Option<((u64, u64), Instant)>,
}

/// Some notices, and how many directories were watched then.
type Lot = (Vec<Notice>, usize);

impl Aside {
    /// As [`Watch::start`], except that it gives up what does not answer.
    pub async fn start(settings: Settings) -> Result<(Self, Vec<Notice>), Error> {
        let (started, start) = oneshot::channel();
        let (teller, lots) = mpsc::channel(MAX_LOTS);
        let turns = Arc::new(AtomicU64::new(0));
        let own = Arc::clone(&turns);
        let steps = Arc::clone(&settings.steps);
        thread::Builder::new()
            .name("watch".into())
            .spawn(move || run(settings, started, &teller, &own))
            .map_err(Error::Inotify)?;
        let mut start = pin!(start);
        let mut seen = (steps.count(), Instant::now());
        let (notices, watched) = loop {
            if let Ok(started) = timeout(LOOK, &mut start).await {
                let ended = |_| Error::Inotify(io::ErrorKind::BrokenPipe.into());
                break started.map_err(ended)??;
            }
            if seen.0 != steps.count() {
                seen = (steps.count(), Instant::now());
            } else if seen.1.elapsed() >= STEP_PATIENCE {
                return Err(Error::Hung(steps.hang()));
            }
        };
        let aside = Self {
            lots,
            watched,
            turns,
            steps,
            seen: None,
        };
        Ok((aside, notices))
    }

    /// Waits for the next notices; `None` when nothing is watched any more.
    pub async fn next(&mut self) -> Option<Vec<Notice>> {
        let (notices, watched) = self.lots.recv().await?;
        self.watched = watched;
        Some(notices)
    }

    /// Directories watched, as of the last notices.
    pub const fn watched(&self) -> usize {
        self.watched
    }

    /// Whether it has been at one step for too long; to be asked now and then.
    pub fn hangs(&mut self, now: Instant) -> Option<Hang> {
        let turn = self.turns.load(Ordering::Relaxed);
        let at = (turn, self.steps.count());
        let waits = turn % 2 == 1;
        let since = match self.seen {
            Some((known, since)) if known == at => since,
            _ => now,
        };
        self.seen = (!waits).then_some((at, since));
        (!waits && now.duration_since(since) >= STEP_PATIENCE).then(|| self.steps.hang())
    }

    /// When to ask again whether it hangs, if it was seen at work.
    pub fn ask_again(&self) -> Option<Instant> {
        self.seen.map(|(_, since)| since + STEP_PATIENCE)
    }
}

fn run(
    settings: Settings,
    started: oneshot::Sender<Result<Lot, Error>>,
    teller: &mpsc::Sender<Lot>,
    turns: &Arc<AtomicU64>,
) {
    let turn = || {
        let turns = Arc::clone(turns);
        move || {
            turns.fetch_add(1, Ordering::Relaxed);
        }
    };
    let runtime = Builder::new_current_thread()
        .enable_all()
        .on_thread_park(turn())
        .on_thread_unpark(turn())
        .build();
    let begun = runtime.map_err(Error::Inotify).and_then(|runtime| {
        let (watch, notices) = runtime.block_on(async { Watch::start(settings) })?;
        Ok((runtime, watch, notices))
    });
    // Nobody listens any more where it took too long.
    let (runtime, mut watch) = match begun {
        Ok((runtime, watch, notices)) => {
            let _ = started.send(Ok((notices, watch.watched())));
            (runtime, watch)
        }
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    runtime.block_on(async {
        loop {
            let notices = tokio::select! {
                notices = watch.next() => notices,
                () = teller.closed() => return,
            };
            if teller.send((notices, watch.watched())).await.is_err() {
                return;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_step_that_takes_long_hangs_and_a_wait_does_not() {
        let (_teller, lots) = mpsc::channel(1);
        let (turns, steps) = (Arc::new(AtomicU64::new(0)), Arc::<Steps>::default());
        let mut aside = Aside {
            lots,
            watched: 0,
            turns: Arc::clone(&turns),
            steps: Arc::clone(&steps),
            seen: None,
        };
        steps.enter(Path::new("srv"));
        let start = Instant::now();
        let late = start + STEP_PATIENCE;
        assert!(aside.hangs(start).is_none());
        assert!(aside.hangs(start + STEP_PATIENCE / 2).is_none());
        assert_eq!(aside.ask_again(), Some(late));
        assert_eq!(aside.hangs(late).unwrap().place, Path::new("/srv"));
        // It goes on, waits, and does the next step.
        steps.enter(Path::new("etc"));
        assert!(aside.hangs(late).is_none());
        turns.store(1, Ordering::Relaxed);
        assert!(aside.hangs(late).is_none());
        assert!(aside.hangs(late + STEP_PATIENCE).is_none());
        assert_eq!(aside.ask_again(), None);
        turns.store(2, Ordering::Relaxed);
        assert!(aside.hangs(late + STEP_PATIENCE).is_none());
        turns.store(4, Ordering::Relaxed);
        assert!(aside.hangs(late + 2 * STEP_PATIENCE).is_none());
    }
}
