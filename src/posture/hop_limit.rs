//! `imds.hop-limit`: do tokens travel further than they have to?

use crate::finding::{PostureCheck, Rule, Verdict};
use crate::imds::HopLimit;

pub(super) fn check_hop_limit(measured: HopLimit, expected: u8) -> PostureCheck {
    let (hops, observed) = match measured {
        HopLimit::One => (1, "1"),
        HopLimit::Two => (2, "2"),
        HopLimit::ThreeOrMore => (3, "3 or more"),
        HopLimit::Unknown(why) => {
            let reason = format!("the hop limit could not be measured: {why}");
            return PostureCheck::new(Rule::ImdsHopLimit, Verdict::Unknown, reason)
                .expected(expected.to_string());
        }
    };
    let (verdict, reason) = if measured == HopLimit::ThreeOrMore && expected >= 3 {
        (
            Verdict::Unknown,
            format!("more than 2 hops are not told apart, so whether it is {expected} is open"),
        )
    } else if hops > expected {
        (
            Verdict::Fail,
            format!("the answer to a token request travels {observed} hops, {expected} suffice"),
        )
    } else {
        (
            Verdict::Pass,
            format!("the answer to a token request travels no further than {expected} hops"),
        )
    };
    PostureCheck::new(Rule::ImdsHopLimit, verdict, reason)
        .observed(observed)
        .expected(expected.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_more_hops_than_expected_fail() {
        for (measured, expected, verdict) in [
            (HopLimit::One, 1, Verdict::Pass),
            (HopLimit::One, 2, Verdict::Pass),
            (HopLimit::Two, 1, Verdict::Fail),
            (HopLimit::Two, 2, Verdict::Pass),
            (HopLimit::ThreeOrMore, 2, Verdict::Fail),
            (HopLimit::Unknown("doubt"), 1, Verdict::Unknown),
        ] {
            assert_eq!(check_hop_limit(measured, expected).verdict, verdict);
        }
    }

    #[test]
    fn an_expectation_beyond_what_can_be_told_is_unknown_not_passed() {
        assert_eq!(
            check_hop_limit(HopLimit::ThreeOrMore, 3).verdict,
            Verdict::Unknown
        );
    }
}
