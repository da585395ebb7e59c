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

#[test]
fn of_versions_of_a_file_the_first_is_told_whatever_its_author_dated() {
    let place = Place::new();
    let repository = place.init("r", &[]);
    let key = Key::new();
    let mut text = key.text();
    let mut commits = Vec::new();
    for date in ["2023-06-01", "2020-01-01", "2021-01-01", "2021-01-01"] {
        repository.write("slip.ini", &text);
        repository.git(&["add", "--all"]);
        let date = format!("--date={date}T00:00:00Z");
        repository.git(&["commit", "--quiet", "--message", "change", &date]);
        commits.push(repository.head());
        text = format!("# again\n{text}");
    }
    let told = [(Some("slip.ini"), Some(commits[0].as_str()), super::TREE)];
    assert_eq!(scan(&repository.path).told(&key), told);
    repository.git(&["rm", "--quiet", "slip.ini"]);
    repository.git(&["commit", "--quiet", "--message", "gone"]);
    let told = [(Some("slip.ini"), Some(commits[0].as_str()), super::HISTORY)];
    assert_eq!(scan(&repository.path).told(&key), told);
    repository.git(&["reset", "--quiet", "--hard", &commits[1]]);
    repository.git(&["commit", "--quiet", "--amend", "--message", "other"]);
    let found = scan(&repository.path);
    let told = [(Some("slip.ini"), Some(commits[0].as_str()), super::TREE)];
    assert_eq!(found.told(&key), told);
    let line = &found.in_git(&key).next().expect("one")["location"]["line"];
    assert_eq!(line, 2, "as of that commit");
}
