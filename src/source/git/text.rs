//! The heads of commits and tags, read leniently: old tools wrote odd ones,
//! and what is told about a key is better half right than missing.

use gix_hash::ObjectId;
use memchr::memchr;
use smallvec::SmallVec;

/// Bytes kept of the name of a tag.
const MAX_TAG: usize = 4096;

/// What is told of a commit.
#[derive(Debug, Clone)]
pub(super) struct Commit {
    pub(super) tree: ObjectId,
    pub(super) parents: SmallVec<[ObjectId; 2]>,
    /// Seconds since 1970.
    pub(super) authored: Option<i64>,
    pub(super) committed: i64,
}

pub(super) fn commit(bytes: &[u8]) -> Option<Commit> {
    let mut tree = None;
    let mut parents = SmallVec::new();
    let (mut authored, mut committed) = (None, None);
    for line in head(bytes) {
        if let Some(id) = line.strip_prefix(b"tree ") {
            tree = tree.or_else(|| ObjectId::from_hex(id).ok());
        } else if let Some(id) = line.strip_prefix(b"parent ") {
            parents.extend(ObjectId::from_hex(id));
        } else if let Some(person) = line.strip_prefix(b"author ") {
            authored = authored.or_else(|| time(person));
        } else if let Some(person) = line.strip_prefix(b"committer ") {
            committed = committed.or_else(|| time(person));
            // Behind it are signatures, of twenty lines and more.
            break;
        }
    }
    Some(Commit {
        tree: tree?,
        parents,
        authored,
        committed: committed.or(authored).unwrap_or(0),
    })
}

/// The name of an annotated tag and what it points to.
pub(super) fn tag(bytes: &[u8]) -> Option<(String, ObjectId)> {
    let value = |name: &[u8]| head(bytes).find_map(|line| line.strip_prefix(name));
    let target = ObjectId::from_hex(value(b"object ")?).ok()?;
    let name = value(b"tag ")?;
    let name = &name[..name.len().min(MAX_TAG)];
    Some((crate::sanitize::bytes(name), target))
}

/// The lines up to the first empty one.
fn head(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let end = memchr(b'\n', rest).unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        (!line.is_empty()).then_some(line)
    })
}

/// The seconds in `Name <address> 1700000000 +0100`.
fn time(person: &[u8]) -> Option<i64> {
    let end = person.iter().rposition(|byte| *byte == b'>')?;
    let mut words = person[end + 1..].split(u8::is_ascii_whitespace);
    let seconds = words.find(|word| !word.is_empty())?;
    std::str::from_utf8(seconds).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_tells_its_tree_parents_and_times() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        let text = format!(
            "tree {id}\nparent {id}\nauthor A <a> b@c> 1700000000 +0100\n\
             committer C <c@d> 1700000001 +0000\n\ntree {id}\nparent {id}\n"
        );
        let commit = commit(text.as_bytes()).expect("a commit");
        assert_eq!(commit.parents.len(), 1);
        assert_eq!(
            (commit.authored, commit.committed),
            (Some(1_700_000_000), 1_700_000_001)
        );
    }

    #[test]
    fn a_tag_tells_its_name_and_target() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        let text = format!("object {id}\ntype commit\ntag v1.0\ntagger A <a> 1 +0000\n\nx\n");
        let (name, target) = tag(text.as_bytes()).expect("a tag");
        assert_eq!((name.as_str(), target.to_string().as_str()), ("v1.0", id));
    }
}
