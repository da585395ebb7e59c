//! The entries of a tree. gix reads them too, in five times the instructions,
//! most of them for the mode; the walk through a history reads hundreds of
//! millions.

use gix_hash::oid;
use memchr::memchr;

/// What a tree says of one name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) is_tree: bool,
    pub(super) name: &'a [u8],
    pub(super) id: &'a oid,
}

/// The entries of a tree up to what makes no sense; ids have `id_length` bytes.
pub(super) fn entries(tree: &[u8], id_length: usize) -> impl Iterator<Item = Entry<'_>> {
    let mut rest = tree;
    std::iter::from_fn(move || {
        // A mode has five or six digits and is told from the name by a blank.
        let mode_length = if rest.get(5) == Some(&b' ') { 5 } else { 6 };
        let (mode, behind) = rest.split_at_checked(mode_length)?;
        let named = behind.strip_prefix(b" ")?;
        let (name, behind) = named.split_at_checked(memchr(0, named)?)?;
        let (id, behind) = behind[1..].split_at_checked(id_length)?;
        rest = behind;
        Some(Entry {
            is_tree: matches!(mode, b"40000" | b"040000"),
            name,
            id: oid::try_from_bytes(id).ok()?,
        })
    })
}

#[cfg(test)]
mod tests {
    use gix_hash::Kind;
    use gix_object::TreeRefIter;

    use super::*;

    #[test]
    fn entries_are_those_that_gix_reads() {
        let mut random = fastrand::Rng::with_seed(6);
        let modes = ["40000", "040000", "100644", "100755", "120000", "160000"];
        for _ in 0..2000 {
            let mut tree = Vec::new();
            for _ in 0..random.usize(..9) {
                tree.extend(modes[random.usize(..modes.len())].bytes());
                tree.push(b' ');
                tree.extend((0..random.usize(1..20)).map(|_| random.u8(1..)));
                tree.push(0);
                tree.extend((0..20).map(|_| random.u8(..)));
            }
            tree.truncate(tree.len() - random.usize(..=tree.len().min(2)) % 2);
            let read: Vec<_> = entries(&tree, 20).collect();
            let expected: Vec<_> = TreeRefIter::from_bytes(&tree, Kind::Sha1)
                .map_while(Result::ok)
                .map(|entry| Entry {
                    is_tree: entry.mode.is_tree(),
                    name: entry.filename,
                    id: entry.oid,
                })
                .collect();
            assert_eq!(read, expected, "{tree:?}");
        }
    }

    #[test]
    fn what_makes_no_sense_ends_the_entries() {
        for tree in [
            &b""[..],
            b"4",
            b"40000",
            b"40000 ",
            b"40000 a",
            b"40000 a\0",
            b"1 a\0",
        ] {
            assert_eq!(entries(tree, 20).next(), None, "{tree:?}");
        }
    }
}
