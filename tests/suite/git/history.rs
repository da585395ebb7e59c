//! Which commit is told as the first with a key.

use super::repository::{Key, Place, scan};

#[test]
fn of_commits_of_one_second_that_nothing_refers_to_the_first_is_told() {
    for is_packed in [false, true] {
        let place = Place::new();
        let repository = place.init("r", &[]);
        repository.commit("readme", "hello\n");
        let key = Key::new();
        let first = repository.commit("slip.ini", &key.text());
        for number in 0..4 {
            repository.commit("more", &format!("{number}\n"));
        }
        repository.git(&["reset", "--quiet", "--hard", "HEAD~5"]);
        if is_packed {
            repository.git(&["gc", "--quiet", "--prune=never"]);
        }
        let place = [(Some("slip.ini"), Some(first.as_str()), super::NOWHERE)];
        assert_eq!(scan(&repository.path).told(&key), place, "{is_packed}");
    }
}
