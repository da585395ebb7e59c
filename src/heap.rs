//! How the process keeps its memory.

/// Lets all threads share one arena of the heap. Each thread would have its
/// own, with what the last large file or repository left unused in each; a
/// scan has few threads, and they hardly ever allocate at the same time.
pub fn share() {
    // musl has one heap for all threads anyway.
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: called with two integers, before any other thread is there.
        #[allow(unsafe_code)]
        let is_done = unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
        if is_done == 0 {
            log::debug!("the heap keeps an arena for each thread");
        }
    }
}

/// Gives back to the system what the heap holds and nobody uses: after a
/// folder of 100,000s of files, tens of megabytes.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: the call takes an integer and moves nothing that is in use.
        #[allow(unsafe_code)]
        let _ = unsafe { libc::malloc_trim(0) };
    }
}
