//! The embedded metrics of a heartbeat: CloudWatch makes metrics of a log
//! event that follows the embedded metric format.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>:
//! `_aws` names the metrics and dimensions, whose values are members of the
//! root. Each set of dimension values is a metric of its own and is billed, so
//! the dimensions are the Auto Scaling group and the image, and never the
//! instance. What is not known is left out: a zero would be a statement.

use std::time::Duration;

use serde::Serialize;

use crate::finding::{Instance, Summary};

const NAMESPACE: &str = "rolecall";
const AUTO_SCALING_GROUP: &str = "AutoScalingGroup";
const IMAGE_ID: &str = "ImageId";

/// Longest value of a dimension.
const MAX_DIMENSION_VALUE: usize = 1024;

/// Values that a metric may have in one event.
const MAX_VALUES: usize = 100;

/// What the summary does not hold.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Distinct long-term credentials on this host.
    pub static_credentials: u64,
    /// `None` where it could not be told.
    pub role_present: Option<bool>,
    /// `None` where it could not be told.
    pub imds_v1_enabled: Option<bool>,
    /// `None` where it could not be told.
    pub imds_hop_limit_exceeded: Option<bool>,
    /// How long each finding was open that was resolved since the previous
    /// heartbeat; the first hundred are told, so that an average over the
    /// fleet weighs each finding alike.
    pub time_to_resolve: Vec<Duration>,
}

/// The members that a heartbeat has beside its record.
#[derive(Debug, Serialize)]
pub(super) struct Emf<'a> {
    #[serde(rename = "_aws")]
    aws: Metadata,
    #[serde(rename = "AutoScalingGroup", skip_serializing_if = "Option::is_none")]
    auto_scaling_group: Option<&'a str>,
    #[serde(rename = "ImageId", skip_serializing_if = "Option::is_none")]
    image_id: Option<&'a str>,
    #[serde(flatten)]
    values: Values,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    timestamp: i64,
    cloud_watch_metrics: [Directive; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive {
    namespace: &'static str,
    dimensions: Vec<Vec<&'static str>>,
    metrics: Vec<Definition>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    name: &'static str,
    unit: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Values {
    static_credentials: u64,
    findings_critical: u64,
    findings_high: u64,
    findings_medium: u64,
    findings_low: u64,
    findings_info: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    role_present: Option<u8>,
    #[serde(rename = "ImdsV1Enabled", skip_serializing_if = "Option::is_none")]
    imds_v1_enabled: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    imds_hop_limit_exceeded: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compliant: Option<u8>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    time_to_resolve: Vec<f64>,
    sweep_seconds: f64,
    undelivered: u64,
}

impl<'a> Emf<'a> {
    pub(super) fn new(
        summary: &Summary,
        metrics: &Metrics,
        instance: &'a Instance,
        timestamp_ms: i64,
    ) -> Self {
        let auto_scaling_group = dimension(instance.auto_scaling_group.as_deref());
        let image_id = dimension(instance.image_id.as_deref());
        let values = Values {
            static_credentials: metrics.static_credentials,
            findings_critical: summary.critical,
            findings_high: summary.high,
            findings_medium: summary.medium,
            findings_low: summary.low,
            findings_info: summary.info,
            role_present: metrics.role_present.map(u8::from),
            imds_v1_enabled: metrics.imds_v1_enabled.map(u8::from),
            imds_hop_limit_exceeded: metrics.imds_hop_limit_exceeded.map(u8::from),
            compliant: compliant(summary).map(u8::from),
            time_to_resolve: metrics
                .time_to_resolve
                .iter()
                .take(MAX_VALUES)
                .map(Duration::as_secs_f64)
                .collect(),
            // Milliseconds fit a double exactly for 285,000 years.
            #[expect(clippy::cast_precision_loss)]
            sweep_seconds: summary.duration_ms as f64 / 1000.0,
            undelivered: summary.undelivered,
        };
        Self {
            aws: Metadata {
                timestamp: timestamp_ms,
                cloud_watch_metrics: [Directive {
                    namespace: NAMESPACE,
                    dimensions: dimension_sets(auto_scaling_group.is_some(), image_id.is_some()),
                    metrics: values.definitions(),
                }],
            },
            auto_scaling_group,
            image_id,
            values,
        }
    }
}

impl Values {
    fn definitions(&self) -> Vec<Definition> {
        [
            ("StaticCredentials", "Count", true),
            ("FindingsCritical", "Count", true),
            ("FindingsHigh", "Count", true),
            ("FindingsMedium", "Count", true),
            ("FindingsLow", "Count", true),
            ("FindingsInfo", "Count", true),
            // Averages over a group: the part of it that has a role.
            ("RolePresent", "None", self.role_present.is_some()),
            ("ImdsV1Enabled", "None", self.imds_v1_enabled.is_some()),
            (
                "ImdsHopLimitExceeded",
                "None",
                self.imds_hop_limit_exceeded.is_some(),
            ),
            ("Compliant", "None", self.compliant.is_some()),
            ("TimeToResolve", "Seconds", !self.time_to_resolve.is_empty()),
            ("SweepSeconds", "Seconds", true),
            ("Undelivered", "Count", true),
        ]
        .into_iter()
        .filter(|(.., known)| *known)
        .map(|(name, unit, _)| Definition { name, unit })
        .collect()
    }
}

/// Whether nothing of high severity or above is open. One finding is enough to
/// say no; to say yes, everything must have been looked at.
fn compliant(summary: &Summary) -> Option<bool> {
    let clean = summary.critical == 0 && summary.high == 0;
    (summary.complete || !clean).then_some(clean)
}

/// The group as a whole, and its images apart: an instance refresh to a fixed
/// image shows as one line falling and the other staying at zero.
fn dimension_sets(auto_scaling_group: bool, image_id: bool) -> Vec<Vec<&'static str>> {
    match (auto_scaling_group, image_id) {
        (true, true) => vec![vec![AUTO_SCALING_GROUP], vec![AUTO_SCALING_GROUP, IMAGE_ID]],
        (true, false) => vec![vec![AUTO_SCALING_GROUP]],
        (false, true) => vec![vec![IMAGE_ID]],
        (false, false) => vec![vec![]],
    }
}

fn dimension(value: Option<&str>) -> Option<&str> {
    value.filter(|v| !v.trim().is_empty() && v.len() <= MAX_DIMENSION_VALUE)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const UNITS: [&str; 27] = [
        "Seconds",
        "Microseconds",
        "Milliseconds",
        "Bytes",
        "Kilobytes",
        "Megabytes",
        "Gigabytes",
        "Terabytes",
        "Bits",
        "Kilobits",
        "Megabits",
        "Gigabits",
        "Terabits",
        "Percent",
        "Count",
        "Bytes/Second",
        "Kilobytes/Second",
        "Megabytes/Second",
        "Gigabytes/Second",
        "Terabytes/Second",
        "Bits/Second",
        "Kilobits/Second",
        "Megabits/Second",
        "Gigabits/Second",
        "Terabits/Second",
        "Count/Second",
        "None",
    ];

    fn assert_is_emf(root: &Value) {
        let aws = &root["_aws"];
        assert!(aws["Timestamp"].is_i64() || aws["Timestamp"].is_u64());
        for directive in aws["CloudWatchMetrics"].as_array().expect("directives") {
            let namespace = directive["Namespace"].as_str().expect("a namespace");
            assert!((1..=255).contains(&namespace.len()));
            let sets = directive["Dimensions"].as_array().expect("dimension sets");
            assert!(!sets.is_empty());
            for set in sets {
                let set = set.as_array().expect("a dimension set");
                assert!(set.len() <= 30);
                for name in set {
                    let value = root[name.as_str().expect("a name")].as_str();
                    assert!(value.is_some_and(|v| !v.trim().is_empty()), "{name}");
                }
            }
            let metrics = directive["Metrics"].as_array().expect("metrics");
            assert!((1..=100).contains(&metrics.len()));
            for metric in metrics {
                let name = metric["Name"].as_str().expect("a metric name");
                let values = match &root[name] {
                    Value::Array(values) => values.clone(),
                    value => vec![value.clone()],
                };
                assert!((1..=100).contains(&values.len()), "{name}");
                for value in values {
                    assert!(value.as_f64().is_some_and(f64::is_finite), "{name}");
                }
                assert!(UNITS.contains(&metric["Unit"].as_str().expect("a unit")));
            }
        }
    }

    fn emf(group: Option<&str>, image: Option<&str>, metrics: &Metrics) -> Value {
        let instance = Instance {
            instance_id: Some("i-0123".into()),
            auto_scaling_group: group.map(Into::into),
            image_id: image.map(Into::into),
            ..Instance::default()
        };
        let summary = Summary {
            critical: 2,
            duration_ms: 1500,
            undelivered: 3,
            ..Summary::default()
        };
        let emf = Emf::new(&summary, metrics, &instance, 1_700_000_000_000);
        serde_json::to_value(emf).expect("JSON")
    }

    #[test]
    fn every_heartbeat_follows_the_format_whatever_is_known() {
        for group in [None, Some("web"), Some(" ")] {
            for image in [None, Some("ami-1"), Some("")] {
                for (known, resolved) in [(None, 0), (Some(false), 1), (Some(true), 500)] {
                    let metrics = Metrics {
                        static_credentials: 1,
                        role_present: known,
                        imds_v1_enabled: known,
                        imds_hop_limit_exceeded: known,
                        time_to_resolve: vec![Duration::from_millis(1500); resolved],
                    };
                    let root = emf(group, image, &metrics);
                    assert_is_emf(&root);
                    assert_eq!(root.get("RolePresent").is_some(), known.is_some());
                    assert_eq!(root.get("TimeToResolve").is_some(), resolved > 0);
                }
            }
        }
    }

    #[test]
    fn dimensions_are_the_group_and_the_image_and_never_the_instance() {
        let root = emf(Some("web"), Some("ami-1"), &Metrics::default());
        let sets = &root["_aws"]["CloudWatchMetrics"][0]["Dimensions"];
        assert_eq!(
            sets,
            &serde_json::json!([["AutoScalingGroup"], ["AutoScalingGroup", "ImageId"]])
        );
        assert!(!root.to_string().contains("i-0123"));
    }

    #[test]
    fn a_host_is_compliant_only_if_it_was_looked_at_as_a_whole() {
        for (critical, high, complete, said) in [
            (0, 0, true, Some(true)),
            (0, 0, false, None),
            (1, 0, true, Some(false)),
            (0, 1, false, Some(false)),
        ] {
            let summary = Summary {
                critical,
                high,
                medium: 7,
                complete,
                ..Summary::default()
            };
            assert_eq!(compliant(&summary), said, "{summary:?}");
        }
    }

    #[test]
    fn values_are_those_of_the_summary() {
        let root = emf(None, None, &Metrics::default());
        assert_eq!(root["FindingsCritical"], 2);
        assert_eq!(root["SweepSeconds"], 1.5);
        assert_eq!(root["Undelivered"], 3);
    }
}
