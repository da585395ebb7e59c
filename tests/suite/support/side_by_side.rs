//! Tables of cases that spend their time waiting.

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
