//! Tables of cases that spend their time waiting.

use std::sync::Mutex;
use std::thread;

/// Runs `prove` on every case, all at once; panics if one of them does.
pub(crate) fn side_by_side<T: Send>(
    cases: impl IntoIterator<Item = T>,
    prove: impl Fn(T) + Copy + Send,
) {
    thread::scope(|scope| {
        for case in cases {
            scope.spawn(move || prove(case));
        }
    });
}

/// Lets other tests go first: for those that keep a machine busy for minutes.
/// What this thread starts inherits it.
pub(crate) fn give_way() {
    rustix::process::nice(10).unwrap();
}

/// The same for cases that each run the binary: so many at a time, and after
/// tests of other subjects.
pub(crate) fn a_few_at_a_time<T: Send>(
    few: usize,
    cases: impl IntoIterator<Item = T, IntoIter: Send>,
    prove: impl Fn(T) + Sync,
) {
    let cases = Mutex::new(cases.into_iter());
    let next = || cases.lock().unwrap().next();
    thread::scope(|scope| {
        for _ in 0..few {
            scope.spawn(|| {
                give_way();
                while let Some(case) = next() {
                    prove(case);
                }
            });
        }
    });
}
