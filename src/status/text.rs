//! The status for a person: what stands open first, then whether it can be
//! relied on.

use std::fmt::Write as _;

use serde_json::Value;

use super::Status;
use crate::sanitize;

/// The status in lines, safe for a terminal.
pub fn text(status: &Status) -> String {
    let mut lines = vec![head(status), open(status), sweep(status)];
    lines.extend(coverage(status));
    lines.push(posture(status));
    lines.push(outbox(status));
    lines.push(delivery(status));
    lines.extend(watch(status));
    lines.extend(
        status
            .problems
            .iter()
            .map(|problem| format!("note: {problem}")),
    );
    lines
        .iter()
        .map(|line| format!("{}\n", sanitize::line(line)))
        .collect()
}

fn head(status: &Status) -> String {
    let mut line = format!("rolecall {}", status.version);
    match (status.running, status.pid) {
        (true, Some(pid)) => {
            let _ = write!(line, " is {} (pid {pid})", status.activity);
        }
        (true, None) => {
            let _ = write!(line, " is {}", status.activity);
        }
        (false, _) => line += " is not running; this is what it knew last",
    }
    if let Some(instance) = &status.instance_id {
        let _ = write!(line, " on {instance}");
    }
    if let (true, Some(since)) = (status.running, &status.started) {
        let _ = write!(line, ", since {since}");
    }
    line
}

fn open(status: &Status) -> String {
    let open = &status.open;
    if open.findings == 0 {
        return "open: nothing".into();
    }
    let counts = [
        (open.critical, "critical"),
        (open.high, "high"),
        (open.medium, "medium"),
        (open.low, "low"),
        (open.info, "info"),
    ];
    let counts: Vec<_> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
    let many = |count: u64, what: &str| {
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} {what}{plural}")
    };
    let mut line = format!("open: {}", many(open.findings, "finding"));
    // Failed checks are of none.
    if open.credentials > 0 {
        let _ = write!(line, " of {}", many(open.credentials, "credential"));
    }
    let _ = write!(line, ": {}", counts.join(", "));
    line
}

fn sweep(status: &Status) -> String {
    let Some(sweep) = &status.last_sweep else {
        return "last sweep: none yet".into();
    };
    let complete = if sweep.complete {
        "complete"
    } else {
        "INCOMPLETE"
    };
    let mut line = format!(
        "last sweep: {}, {complete}, took {:.1} s",
        sweep.started,
        std::time::Duration::from_millis(sweep.duration_ms).as_secs_f64()
    );
    if sweep.allowed > 0 {
        let _ = write!(line, ", {} findings allowed", sweep.allowed);
    }
    if let Some(next) = &status.next_sweep {
        let _ = write!(line, "; next {next}");
    }
    line
}

fn coverage(status: &Status) -> impl Iterator<Item = String> {
    status.coverage.iter().map(|source| {
        let number = |name: &str| source.get(name).and_then(Value::as_u64).unwrap_or(0);
        let mut line = format!(
            "  {}: {} read, {} unchanged",
            source.get("source").and_then(Value::as_str).unwrap_or("?"),
            number("scanned"),
            number("unchanged"),
        );
        let skipped = source.get("skipped").and_then(Value::as_array);
        for skip in skipped.into_iter().flatten() {
            let text = |name: &str| skip.get(name).and_then(Value::as_str).unwrap_or("?");
            let count = skip.get("count").and_then(Value::as_u64).unwrap_or(0);
            let _ = write!(line, ", {count} {}", text("reason"));
        }
        line
    })
}

fn posture(status: &Status) -> String {
    let Some(posture) = &status.last_posture else {
        return "posture: not checked yet".into();
    };
    let of = |verdict: &str| -> Vec<&str> {
        let checks = posture.checks.iter();
        checks
            .filter(|check| check.get("verdict").and_then(Value::as_str) == Some(verdict))
            .filter_map(|check| check.get("check").and_then(Value::as_str))
            .collect()
    };
    let parts: Vec<_> = ["fail", "unknown"]
        .iter()
        .map(|verdict| (verdict, of(verdict)))
        .filter(|(_, checks)| !checks.is_empty())
        .map(|(verdict, checks)| format!("{verdict}: {}", checks.join(", ")))
        .collect();
    let said = if !parts.is_empty() {
        parts.join("; ")
    } else if of("pass").is_empty() {
        "does not apply here".into()
    } else {
        "in order".into()
    };
    format!("posture: {said} ({})", posture.at)
}

fn outbox(status: &Status) -> String {
    let outbox = &status.outbox;
    let mut line = match &outbox.oldest {
        Some(oldest) => format!(
            "outbox: {} events, {} bytes, the oldest since {oldest}",
            outbox.events, outbox.bytes
        ),
        None => "outbox: empty".into(),
    };
    if outbox.lost > 0 {
        let _ = write!(line, "; {} were LOST for lack of room", outbox.lost);
    }
    if outbox.rejected > 0 {
        let _ = write!(line, "; {} were REJECTED for good", outbox.rejected);
    }
    line
}

fn delivery(status: &Status) -> String {
    let Some(delivery) = &status.last_delivery else {
        return "last delivery: none yet".into();
    };
    let mut line = format!(
        "last delivery: {}, {} accepted, {} left",
        delivery.at, delivery.accepted, delivery.undelivered
    );
    for problem in &delivery.problems {
        let _ = write!(line, "; {problem}");
    }
    line
}

fn watch(status: &Status) -> Option<String> {
    let watch = status.watch.as_ref()?;
    let part = if watch.complete {
        ""
    } else {
        "; not all that is configured: the rest is only swept"
    };
    let overflows = match watch.overflows {
        0 => String::new(),
        count => format!("; too much changed at once, and was swept, {count} times"),
    };
    Some(format!(
        "watching: {} directories{part}{overflows}",
        watch.directories
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Delivery, Outbox, Posture, Sweep};

    #[test]
    fn what_went_wrong_is_said_and_file_names_cannot_move_the_cursor() {
        let mut status = Status::starting("1");
        status.running = false;
        status.open.findings = 3;
        status.open.credentials = 2;
        status.open.critical = 3;
        status.last_sweep = Some(Sweep {
            started: "then".into(),
            duration_ms: 1500,
            complete: false,
            allowed: 0,
        });
        status.coverage = vec![serde_json::json!({
            "source": "file", "scanned": 4, "unchanged": 5,
            "skipped": [{"reason": "io-error", "count": 6, "examples": ["x"]}],
        })];
        status.last_posture = Some(Posture {
            at: "now".into(),
            checks: vec![serde_json::json!({"check": "role.missing", "verdict": "fail"})],
        });
        status.outbox = Outbox {
            events: 7,
            bytes: 8,
            oldest: Some("long ago".into()),
            lost: 9,
            rejected: 10,
        };
        status.last_delivery = Some(Delivery {
            at: "today".into(),
            accepted: 11,
            undelivered: 12,
            problems: vec!["the proxy says \u{1b}[2J".into()],
        });
        let text = text(&status);
        for part in [
            "is not running",
            "3 findings of 2 credentials: 3 critical",
            "INCOMPLETE, took 1.5 s",
            "file: 4 read, 5 unchanged, 6 io-error",
            "posture: fail: role.missing",
            "7 events, 8 bytes, the oldest since long ago; 9 were LOST for lack of room; 10 were REJECTED",
            "11 accepted, 12 left; the proxy says",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains('\u{1b}'));
    }
}
