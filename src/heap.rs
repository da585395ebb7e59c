//! The heap. What a scan lets go goes back to the system, so that one large
//! file does not set the size of the process for good.

/// Bytes from which on an allocation is a mapping of its own, gone when it is
/// freed. glibc begins with half of this and raises it to the largest that was
/// ever freed, up to 32 MiB, and everything below then stays with the process.
const MAPPED: libc::c_int = 256 * 1024;

/// glibc makes a heap for every thread, eight a processor; two do for all.
const HEAPS: libc::c_int = 2;

/// Has to be called before a second thread is started. Where the C library has
/// no such settings, nothing is done.
pub fn keep_small() {
    #[cfg(target_env = "gnu")]
    for (parameter, value) in [(libc::M_MMAP_THRESHOLD, MAPPED), (libc::M_ARENA_MAX, HEAPS)] {
        // SAFETY: the call takes two integers and changes settings that the
        // allocator itself reads; no other thread runs yet.
        #[allow(unsafe_code)]
        let done = unsafe { libc::mallopt(parameter, value) };
        debug_assert_eq!(done, 1, "mallopt knows the parameter");
    }
}
