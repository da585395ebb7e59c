//! Which stretches of a zip belong to an entry, and which to none.

use std::collections::BTreeMap;

use crate::source::archive::limits::MAX_GAPS;

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
            && *its_end >= start
        {
            (start, end) = (*before, end.max(*its_end));
        }
        while let Some((next, its_end)) = self.ends.range(start..=end).next() {
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
        taken.gaps(100).collect()
    }

    #[test]
    fn what_no_stretch_covers_is_a_gap() {
        assert_eq!(gaps(&[]), [(0, 100)]);
        assert_eq!(gaps(&[(0, 100)]), []);
        assert_eq!(gaps(&[(10, 20), (20, 90)]), [(0, 10), (90, 10)]);
        assert_eq!(gaps(&[(50, 60), (10, 20), (15, 55)]), [(0, 10), (60, 40)]);
        assert_eq!(gaps(&[(0, 10), (5, 6), (90, 200)]), [(10, 80)]);
    }
}
