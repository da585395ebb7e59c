//! Names for secrets and findings that reveal nothing and stay the same.

use sha2::{Digest, Sha256};

use super::Location;
use crate::secret::Secret;

/// `sha256:` and the first 16 hex digits of the SHA-256 of the secret: the
/// same on every host, so that one credential is recognised across a fleet.
/// 64 bits of a hash of a 240-bit secret cannot be searched backwards.
pub fn secret_fingerprint(secret: &Secret) -> String {
    format!("sha256:{}", hex(&Sha256::digest(secret.expose())[..8]))
}

/// The `id` of a finding: 32 hex digits of the SHA-256 over a version mark
/// and, each closed by a NUL, what makes the finding the same one again:
///
/// * the rule, for a posture check; else the access key ID and the secret's
///   fingerprint, either of which may be empty;
/// * the place: source, path, member, executable, unit, container.
///
/// Line, column, commit and process ID are left out, so that an edit above
/// the credential, a rebase or a restart does not make it a new finding; so
/// is everything that differs between two hosts of one image. Unit and
/// container are those of a process: what a file turns out to be used by is
/// no part of its place.
pub fn finding_id(credential: [&str; 2], location: &Location) -> String {
    let mut hash = Sha256::new();
    let place = [
        &location.path,
        &location.member,
        &location.exe,
        &location.unit,
        &location.container,
    ];
    let parts = ["rolecall.finding.1", location.source.name()]
        .into_iter()
        .chain(credential)
        .chain(place.into_iter().map(|part| part.as_deref().unwrap_or("")));
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hex(&hash.finalize()[..16])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::SourceKind;

    fn at(path: &str, line: u64) -> Location {
        Location {
            path: Some(path.into()),
            line: Some(line),
            ..Location::new(SourceKind::File)
        }
    }

    #[test]
    fn a_fingerprint_is_a_truncated_sha256() {
        // SHA-256("abc"), FIPS 180-2 appendix B.1.
        assert_eq!(
            secret_fingerprint(&Secret::new("abc")),
            "sha256:ba7816bf8f01cfea"
        );
    }

    #[test]
    fn an_edit_above_the_credential_keeps_the_id() {
        assert_eq!(
            finding_id(["ID", "s"], &at("/a", 1)),
            finding_id(["ID", "s"], &at("/a", 9))
        );
    }

    #[test]
    fn another_credential_or_place_is_another_id() {
        let id = finding_id(["ID", "s"], &at("/a", 1));
        assert_ne!(id, finding_id(["ID", "t"], &at("/a", 1)));
        assert_ne!(id, finding_id(["ID", "s"], &at("/b", 1)));
        assert_ne!(id, finding_id(["IDs", ""], &at("/a", 1)));
    }

    #[test]
    fn ids_do_not_change_between_releases() {
        assert_eq!(
            finding_id(["ID", "s"], &at("/a", 1)),
            "1350fcc1bb41c7bad6e4c871140865b2"
        );
    }
}
