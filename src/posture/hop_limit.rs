//! `imds.hop-limit`: do tokens travel further than they have to?

use std::path::Path;

use super::Settings;
use crate::finding::{PostureCheck, Rule, Verdict};
use crate::host::process;
use crate::imds::HopLimit;

/// What a container needs: its own network is one hop.
const FOR_CONTAINERS: u8 = 2;

/// The highest hop limit that is in order on this host.
pub(super) fn expected(settings: &Settings, root: &Path) -> u8 {
    if !settings.hop_limit_is_explicit && runs_containers(&root.join("proc")) {
        settings.hop_limit.max(FOR_CONTAINERS)
    } else {
        settings.hop_limit
    }
}

fn runs_containers(proc: &Path) -> bool {
    process::list(proc).is_ok_and(|processes| {
        processes
            .iter()
            .any(|process| process.identity().container.is_some())
    })
}

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
            format!("the answer to a token request travels {observed} hops, more than {expected}"),
        )
    } else {
        (
            Verdict::Pass,
            format!("the answer to a token request travels {observed} of at most {expected} hops"),
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
    fn two_hops_are_in_order_where_containers_run_and_nobody_said_otherwise() {
        let dir = tempfile::tempdir().expect("a directory");
        let process = dir.path().join("proc/7");
        std::fs::create_dir_all(&process).expect("a process");
        let cgroup = |text: String| std::fs::write(process.join("cgroup"), text).expect("a file");
        let implied = Settings {
            hop_limit_is_explicit: false,
            ..Settings::default()
        };
        cgroup("0::/system.slice/web.service\n".into());
        assert_eq!(expected(&implied, dir.path()), 1);
        let id = "0123456789abcdef".repeat(4);
        cgroup(format!("0::/system.slice/docker-{id}.scope\n"));
        assert_eq!(expected(&implied, dir.path()), 2);
        assert_eq!(expected(&Settings::default(), dir.path()), 1);
    }

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
