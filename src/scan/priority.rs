//! The disk belongs to the workload: a scan takes what nobody else wants.

/// `IOPRIO_WHO_PROCESS` of `ioprio_set(2)`: one thread, by its ID.
const THREAD: libc::c_long = 1;

/// `IOPRIO_CLASS_IDLE`, shifted by `IOPRIO_CLASS_SHIFT`.
const IDLE: libc::c_long = 3 << 13;

/// `IOPRIO_CLASS_BE`, at its lowest level.
const LAST_IN_TURN: libc::c_long = 2 << 13 | 7;

/// Lets the calling thread, and those that it starts from now on, use the disk
/// only when nobody else does. Not every I/O scheduler knows priorities, and a
/// sandbox may forbid the call: the scan runs all the same.
pub(super) fn yield_disk() {
    set(0, IDLE);
}

/// Lets a thread use a disk in its turn, the last. On one that is always busy
/// the reads of an idle thread wait for ten seconds each, which looks as if
/// the disk were dead.
pub(super) fn take_turns(thread_id: i32) {
    set(thread_id, LAST_IN_TURN);
}

/// With 0, of the calling thread.
fn set(thread_id: i32, priority: libc::c_long) {
    let thread_id = libc::c_long::from(thread_id);
    // SAFETY: the call takes three integers and touches no memory of ours.
    #[allow(unsafe_code)]
    let result = unsafe { libc::syscall(libc::SYS_ioprio_set, THREAD, thread_id, priority) };
    if result != 0 {
        let error = std::io::Error::last_os_error();
        log::debug!("setting the disk priority: {error}");
    }
}
