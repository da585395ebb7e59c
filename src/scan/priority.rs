//! The disk belongs to the workload: a scan takes what nobody else wants.

/// `IOPRIO_WHO_PROCESS` of `ioprio_set(2)`: with 0, the calling thread.
const CALLING_THREAD: libc::c_long = 1;

/// `IOPRIO_CLASS_IDLE`, shifted by `IOPRIO_CLASS_SHIFT`.
const IDLE: libc::c_long = 3 << 13;

/// Lets the calling thread, and those that it starts from now on, use the disk
/// only when nobody else does. Not every I/O scheduler knows priorities, and a
/// sandbox may forbid the call: the scan runs all the same.
pub(super) fn yield_disk() {
    // SAFETY: the call takes three integers and touches no memory of ours.
    #[allow(unsafe_code)]
    let result = unsafe { libc::syscall(libc::SYS_ioprio_set, CALLING_THREAD, 0, IDLE) };
    if result != 0 {
        let error = std::io::Error::last_os_error();
        log::debug!("scanning at ordinary disk priority: {error}");
    }
}
