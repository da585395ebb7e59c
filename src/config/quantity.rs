//! Durations and sizes, as people write them.

use std::time::Duration;

use bytesize::ByteSize;
use jiff::SignedDuration;

use super::error::{ConfigError, Invalid, quote};

/// The units in which sizes are written, the largest first.
const UNITS: [(&str, u64); 4] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
];

/// The duration given to `flag`, such as `90s`, `10m` or `1h30m`.
pub fn parse_duration(flag: &'static str, text: &str) -> Result<Duration, ConfigError> {
    read_duration(text).map_err(|Invalid { reason, .. }| ConfigError::Flag { flag, reason })
}

pub(super) fn read_duration(text: &str) -> Result<Duration, Invalid> {
    let parsed: Option<SignedDuration> = text.parse().ok();
    parsed
        .and_then(|signed| Duration::try_from(signed).ok())
        .ok_or_else(|| {
            let value = quote(text);
            Invalid::new(format!(
                "{value} is not a duration in hours, minutes and seconds, such as \"1h30m\" or \"90s\""
            ))
        })
}

pub(super) fn read_size(text: &str) -> Result<ByteSize, Invalid> {
    text.parse()
        .map_err(|_| Invalid::new(format!("{} is not a size such as \"16MiB\"", quote(text))))
}

/// The shortest text that reads back as the same duration; below two minutes
/// in seconds, which is how such waits are spoken of.
pub(super) fn show_duration(duration: Duration) -> String {
    if duration.subsec_nanos() == 0 && duration.as_secs() < 120 {
        return format!("{}s", duration.as_secs());
    }
    SignedDuration::try_from(duration)
        .map(|signed| format!("{signed:#}").replace(' ', ""))
        .unwrap_or_default()
}

/// The largest unit that divides the size, so that nothing is rounded.
pub(super) fn show_size(size: ByteSize) -> String {
    let bytes = size.as_u64();
    UNITS
        .iter()
        .find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit))
        .map_or_else(
            || format!("{bytes}B"),
            |(name, unit)| format!("{}{name}", bytes / unit),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_reads_back_as_the_same() {
        for text in [
            "0s", "1s", "60s", "90s", "2m", "10m", "6h", "1h30m", "500ms", "1h1s", "100h",
        ] {
            let duration = read_duration(text).unwrap();
            assert_eq!(
                read_duration(&show_duration(duration)).unwrap(),
                duration,
                "{text}"
            );
        }
        assert_eq!(show_duration(Duration::from_mins(1)), "60s");
        assert_eq!(show_duration(Duration::from_mins(90)), "1h30m");
        for text in ["16MiB", "1GiB", "1000B", "1025KiB", "16 MB", "5000"] {
            let size = read_size(text).unwrap();
            assert_eq!(read_size(&show_size(size)).unwrap(), size, "{text}");
        }
        assert_eq!(show_size(ByteSize::mib(16)), "16MiB");
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "10",
            "-5m",
            "ten minutes",
            "1d",
            "1h ago",
            "99999999999999999999h",
        ] {
            assert!(read_duration(text).is_err(), "{text}");
        }
    }
}
