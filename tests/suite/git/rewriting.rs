//! A repository that git rewrites while it is read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::repository::{Key, Place, scan_while_changing};

#[test]
fn what_git_packs_anew_meanwhile_is_found_and_no_damage() {
    let place = Place::new();
    let repository = place.init("r", &[]);
    let key = Key::new();
    repository.commit("k.ini", &key.text());
    repository.commit("k.ini", "nothing\n");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                repository.git(&["commit", "--quiet", "--allow-empty", "--message", "more"]);
                repository.git(&["repack", "-q", "-a", "-d"]);
                repository.git(&["prune-packed", "--quiet"]);
            }
        });
        for _ in 0..40 {
            let found = scan_while_changing(&repository.path);
            let told = (found.in_git(&key).count(), found.skipped("git-corrupt"));
            if told != (1, 0) {
                is_over.store(true, Ordering::Relaxed);
            }
            assert_eq!(told, (1, 0), "{:?}", found.coverage);
        }
        is_over.store(true, Ordering::Relaxed);
    });
}
