//! Gzip inside an encoded text, as cloud-init's user-data carries it.

use std::io::Read as _;

use super::Allowance;

/// Bytes kept of an inflated text; user-data has at most 16 KiB before it.
const MAX_INFLATED: usize = 4 * 1024 * 1024;

pub(in crate::detect) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b, 8])
}

/// What inflates, up to the first damage or as far as `allowance` goes, and
/// whether it was cut there.
pub(in crate::detect) fn inflate(bytes: &[u8], allowance: &mut Allowance) -> (Vec<u8>, bool) {
    let mut inflated = Vec::new();
    let mut text = flate2::read::MultiGzDecoder::new(bytes);
    let mut piece = [0; 16 * 1024];
    loop {
        // Damage ends the text; what came before it counts.
        let Ok(count @ 1..) = text.read(&mut piece) else {
            return (inflated, false);
        };
        if inflated.len() + count > MAX_INFLATED || !allowance.spend(count) {
            return (inflated, true);
        }
        inflated.extend_from_slice(&piece[..count]);
    }
}
