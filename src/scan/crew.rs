//! Threads that can be given up.
//!
//! A system call on a disk or server that stopped answering may never come
//! back, and not even a signal ends it. So whatever touches files runs on
//! threads that nobody has to join: each notes what it enters and shows that
//! it is still getting on, and one that does not is left behind and told.

use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{Settings, priority};
use crate::host::process;
use crate::source::files::lock;

/// How often the threads are looked after.
const TICK: Duration = Duration::from_millis(250);

/// Looks without any progress after which a thread may use the disk like
/// others: 2 seconds.
const IDLE: u32 = 8;

/// Looks without any progress after which a thread is given up: 15 seconds,
/// more than a busy disk lets an idle thread wait for one read. They are
/// counted, and not the time, which also passes for a process that is stopped.
const PATIENCE: u32 = 60;

/// As [`PATIENCE`], once the run has to end.
const PATIENCE_AT_THE_END: u32 = 4;

/// Threads that are given up in one piece of work; more mean that nothing
/// here answers.
const MAX_GIVEN_UP: usize = 32;

/// What others see of a thread.
#[derive(Debug, Default)]
pub(super) struct Member {
    /// Counts up as it gets on.
    beats: AtomicU64,
    thread_id: AtomicI32,
    /// Other threads that work for it now and then.
    helpers: Mutex<Vec<i32>>,
    /// What it touches; `None` while it waits for work.
    place: Mutex<Option<PathBuf>>,
    is_given_up: AtomicBool,
}

impl Member {
    /// It gets on.
    pub(super) fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// It touches `place` next, or waits for work.
    pub(super) fn enters(&self, place: Option<&Path>) {
        self.beat();
        let mut current = lock(&self.place);
        match (place, &mut *current) {
            // Without an allocation, since every file comes through here.
            (Some(place), Some(current)) => {
                current.clear();
                current.push(place);
            }
            (place, current) => *current = place.map(Path::to_owned),
        }
    }

    fn place(&self) -> Option<PathBuf> {
        lock(&self.place).clone()
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.is_given_up.load(Ordering::Relaxed)
    }

    /// Gives it up unless it got on since `beats` were counted.
    fn give_up(&self, beats: u64) -> bool {
        let is_stuck = self.beats.load(Ordering::Relaxed) == beats;
        self.is_given_up.store(is_stuck, Ordering::Relaxed);
        is_stuck
    }

    /// The calling thread works for it until it ends.
    pub(super) fn takes_part(&self) {
        let mut helpers = lock(&self.helpers);
        helpers.retain(|helper| state(*helper).is_some());
        helpers.push(thread_id());
    }

    /// Whether one of its threads is running or would like to, rather than waiting
    /// for the kernel: it may wait for the others itself.
    fn is_on_cpu(&self) -> bool {
        let runs = |thread_id| state(thread_id) == Some('R');
        runs(self.thread_id.load(Ordering::Relaxed))
            || lock(&self.helpers).iter().any(|helper| runs(*helper))
    }
}

fn thread_id() -> i32 {
    rustix::thread::gettid().as_raw_nonzero().get()
}

/// The state of a thread of this process, as proc(5) has it.
fn state(thread_id: i32) -> Option<char> {
    process::state(Path::new(&format!("/proc/self/task/{thread_id}")))
}

/// A thread as it was when it was last looked after.
struct Hand {
    number: usize,
    member: Arc<Member>,
    thread: JoinHandle<()>,
    beats: u64,
    /// Looks since it last got on.
    idle: u32,
}

impl Hand {
    fn look(&mut self) {
        let beats = self.member.beats.load(Ordering::Relaxed);
        let waits_for_kernel =
            beats == self.beats && self.member.place().is_some() && !self.member.is_on_cpu();
        self.idle = if waits_for_kernel { self.idle + 1 } else { 0 };
        if self.idle == IDLE {
            priority::take_turns(self.member.thread_id.load(Ordering::Relaxed));
        }
        self.beats = beats;
    }
}

/// A thread that does not come back.
pub(super) struct Stuck<'a> {
    member: &'a Member,
    beats: u64,
    /// What it touched.
    pub(super) place: &'a Path,
}

impl Stuck<'_> {
    /// Gives it up; false if it just came back.
    pub(super) fn give_up(&self) -> bool {
        self.member.give_up(self.beats)
    }

    /// The same, and tells it.
    pub(super) fn give_up_and(&self, tell: impl FnOnce()) -> bool {
        let is_given_up = self.give_up();
        if is_given_up {
            tell();
        }
        is_given_up
    }
}

/// How many threads work.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Crew {
    /// Nobody takes its place.
    One,
    /// Another takes the place of one that is given up.
    Many(usize),
}

/// Does `work` and returns when each thread has ended or was given up, as
/// `judge` says and does.
pub(super) fn run(
    crew: Crew,
    settings: &Settings,
    work: impl Fn(&Member) + Send + Sync + 'static,
    judge: &mut dyn FnMut(&Stuck<'_>) -> bool,
) {
    let work: Arc<dyn Fn(&Member) + Send + Sync> = Arc::new(work);
    let (ends, ended) = mpsc::channel();
    let mut numbers = 0..;
    let mut hands: Vec<Hand> = Vec::new();
    let mut wanted = match crew {
        Crew::One => 1,
        Crew::Many(threads) => threads.max(1),
    };
    let mut given_up = 0;
    loop {
        for number in numbers.by_ref().take(std::mem::take(&mut wanted)) {
            match spawn(number, Arc::clone(&work), ends.clone()) {
                Some(hand) => hands.push(hand),
                // No more threads to be had: better here than not at all.
                None if hands.is_empty() => work(&Member::default()),
                None => {}
            }
        }
        if hands.is_empty() {
            return;
        }
        if let Ok(number) = ended.recv_timeout(TICK) {
            let at = hands.iter().position(|hand| hand.number == number);
            // It has nothing left to do but to end. One that was given up may
            // come back as well.
            if let Some(Err(panic)) = at.map(|at| hands.swap_remove(at).thread.join()) {
                resume_unwind(panic);
            }
            continue;
        }
        let patience = if settings.deadline.is_over() {
            PATIENCE_AT_THE_END
        } else {
            PATIENCE
        };
        hands.retain_mut(|hand| {
            hand.look();
            let place = hand.member.place().unwrap_or_default();
            let is_given_up = hand.idle >= patience
                && judge(&Stuck {
                    member: &hand.member,
                    beats: hand.beats,
                    place: &place,
                });
            if is_given_up {
                settings.silences.note(&place, &hand.member);
            }
            given_up += usize::from(is_given_up);
            wanted += usize::from(is_given_up && crew != Crew::One && given_up <= MAX_GIVEN_UP);
            !is_given_up
        });
    }
}

fn spawn(
    number: usize,
    work: Arc<dyn Fn(&Member) + Send + Sync>,
    ends: Sender<usize>,
) -> Option<Hand> {
    struct End(usize, Sender<usize>);
    impl Drop for End {
        fn drop(&mut self) {
            // Nobody listens any more when all is done.
            let _ = self.1.send(self.0);
        }
    }
    let member = Arc::new(Member::default());
    member.enters(Some(Path::new("")));
    let own = Arc::clone(&member);
    let thread = thread::Builder::new().spawn(move || {
        let _end = End(number, ends);
        own.thread_id.store(thread_id(), Ordering::Relaxed);
        work(&own);
    });
    Some(Hand {
        number,
        thread: thread.ok()?,
        beats: 0,
        idle: 0,
        member,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_waits_for_its_helpers_is_on_cpu_while_they_are() {
        let (member, is_done) = (Member::default(), AtomicBool::new(false));
        let (go, wait) = mpsc::channel::<()>();
        let is_soon = |is_so: &dyn Fn() -> bool| {
            let looks = (0..10_000).map(|_| thread::sleep(Duration::from_millis(1)));
            looks.into_iter().any(|()| is_so())
        };
        thread::scope(|scope| {
            let member = &member;
            scope.spawn(move || {
                member.thread_id.store(thread_id(), Ordering::Relaxed);
                let _ = wait.recv();
            });
            let own = || member.thread_id.load(Ordering::Relaxed);
            assert!(is_soon(&|| state(own()) == Some('S')));
            assert!(!member.is_on_cpu());
            let helper = scope.spawn(|| {
                member.takes_part();
                while !is_done.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
            let is_on_cpu = is_soon(&|| member.is_on_cpu());
            is_done.store(true, Ordering::Relaxed);
            helper.join().unwrap();
            assert!(is_on_cpu);
            assert!(!member.is_on_cpu());
            drop(go);
        });
    }
}
