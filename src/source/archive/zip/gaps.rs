//! Which stretches of a zip belong to an entry, and which to none.

use std::collections::BTreeMap;

use crate::source::archive::limits::MAX_GAPS;

/// The longest descriptor, which stands behind an entry or does not. What is
/// no longer than that and not taken is passed over.
const DESCRIPTOR_LEN: u64 = 24;

/// Stretches by their start, joined where they touch: entries in order, as
/// nearly every zip has them, are one stretch.
#[derive(Debug, Default)]
pub(super) struct Taken {
    ends: BTreeMap<u64, u64>,
    /// More stretches than are kept.
    pub(super) scattered: bool,
}

impl Taken {
    pub(super) fn add(&mut self, mut start: u64, mut end: u64) {
        if self.scattered || end <= start {
            return;
        }
        if let Some((before, its_end)) = self.ends.range(..=start).next_back()
            && its_end.saturating_add(DESCRIPTOR_LEN) >= start
        {
            (start, end) = (*before, end.max(*its_end));
        }
        let near = |end: u64| start..=end.saturating_add(DESCRIPTOR_LEN);
        while let Some((next, its_end)) = self.ends.range(near(end)).next() {
            let next = *next;
            end = end.max(*its_end);
            self.ends.remove(&next);
        }
        self.ends.insert(start, end);
        self.scattered = self.ends.len() > MAX_GAPS;
    }

    /// What is not taken below `len`, in order, as starts and lengths.
    pub(super) fn gaps(&self, len: u64) -> impl Iterator<Item = (u64, u64)> {
        let starts = std::iter::once(0).chain(self.ends.values().copied());
        let ends = self.ends.keys().copied().chain(std::iter::once(len));
        starts
            .zip(ends)
            .filter(|(start, end)| start < end)
            .map(|(start, end)| (start, end - start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps(stretches: &[(u64, u64)]) -> Vec<(u64, u64)> {
        let mut taken = Taken::default();
        for (start, end) in stretches {
            taken.add(*start, *end);
        }
        taken.gaps(1000).collect()
    }

    #[test]
    fn what_no_stretch_covers_is_a_gap() {
        assert_eq!(gaps(&[]), [(0, 1000)]);
        assert_eq!(gaps(&[(0, 1000)]), []);
        assert_eq!(gaps(&[(10, 20), (20, 900)]), [(0, 10), (900, 100)]);
        let mixed = [(500, 600), (100, 200), (150, 550)];
        assert_eq!(gaps(&mixed), [(0, 100), (600, 400)]);
        assert_eq!(gaps(&[(0, 10), (5, 6), (900, 2000)]), [(10, 890)]);
        // A descriptor, and no descriptor any more.
        assert_eq!(gaps(&[(0, 100), (124, 300), (325, 1000)]), [(300, 25)]);
        assert_eq!(gaps(&[(124, 1000), (0, 100)]), []);
    }
}
