//! Sixteen bytes of a text at once: which of them are of a kind. Where words
//! end cannot be predicted, so nothing branches on single bytes.

use wide::u8x16;

/// Bytes of a block.
pub(super) const BLOCK: usize = 16;

/// A bit for each byte of a block, that of the first one lowest.
pub(super) type Bits = u32;

/// The bytes that are one of these.
pub(super) fn any_of<const N: usize>(block: u8x16, bytes: [u8; N]) -> u8x16 {
    bytes.into_iter().fold(u8x16::ZERO, |found, byte| {
        found | block.simd_eq(u8x16::splat(byte))
    })
}

/// The bytes of the standard base64 alphabet.
pub(super) fn base64(block: u8x16) -> u8x16 {
    let letters = below(
        (block | u8x16::splat(0x20)) - u8x16::splat(b'a'),
        b'z' - b'a' + 1,
    );
    // The slash stands right before the digits.
    let digits = below(block - u8x16::splat(b'/'), b'9' - b'/' + 1);
    letters | digits | any_of(block, [b'+'])
}

fn below(block: u8x16, end: u8) -> u8x16 {
    block.min(u8x16::splat(end - 1)).simd_eq(block)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::glyph;

    #[test]
    fn the_kinds_of_all_bytes_are_those_of_single_ones() {
        let all: Vec<u8> = (0..=255).collect();
        for bytes in all.as_chunks::<BLOCK>().0 {
            let bits = |is: &dyn Fn(u8) -> bool| -> Bits {
                let bit = |(at, byte): (usize, &u8)| u32::from(is(*byte)) << at;
                bytes.iter().enumerate().map(bit).sum()
            };
            let block = u8x16::new(*bytes);
            assert_eq!(base64(block).to_bitmask(), bits(&glyph::is_base64));
            let found = any_of(block, [b'\n', b'"', 0xff]).to_bitmask();
            assert_eq!(found, bits(&|byte| [b'\n', b'"', 0xff].contains(&byte)));
        }
    }
}
