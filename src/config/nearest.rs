//! The name that someone probably meant.

/// The candidate nearest to `name`, or `None` where none is near: at most one
/// slip in three characters, or one name beginning with the other.
pub(super) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // Nobody's slip is longer than any name, and the distance is quadratic.
    if name.is_empty() || name.len() > 64 {
        return None;
    }
    let name = name.to_ascii_lowercase().replace('-', "_");
    candidates
        .into_iter()
        .map(|candidate| {
            let other = candidate.replace('-', "_");
            let extends = name.len() >= 4 && (other.starts_with(&name) || name.starts_with(&other));
            let distance = strsim::damerau_levenshtein(&name, &other);
            (candidate, distance, extends)
        })
        .filter(|(candidate, distance, extends)| {
            *extends || *distance <= (candidate.len() / 3).max(1)
        })
        .min_by_key(|(_, distance, _)| *distance)
        .map(|(candidate, ..)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_their_name_and_nonsense_finds_none() {
        let names = ["threads", "exclude", "interval", "log_group", "log_stream"];
        for (typed, meant) in [
            ("thread", Some("threads")),
            ("exlcude", Some("exclude")),
            ("log-group", Some("log_group")),
            ("LOG_STREAM", Some("log_stream")),
            ("interval_seconds", Some("interval")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, names), meant, "{typed}");
        }
    }
}
