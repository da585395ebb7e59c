//! Whether keys that were found are good, asked of AWS: `GetCallerIdentity`,
//! signed with the key itself. This happens on demand only, once for each
//! pair, and never for a canary, whose use raises an alarm.
//!
//! An ID does not say which partition it belongs to. The partition of the
//! configured or the instance's region is asked first, else `aws`, and where
//! that does not know the key the other public ones are; the first that knows
//! it decides. Where `ship.sts_endpoint` is set, nobody else is asked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, timeout_at};

use crate::aws::{Caller, Network, Refusal, Sts, partition};
use crate::finding::Verified;
use crate::secret::Credentials;

/// Calls under way at one time.
const CONCURRENCY: usize = 4;
/// How long one call may take.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// With a clock that is off by more, a wrong signature says nothing.
const MAX_SKEW: SignedDuration = SignedDuration::from_mins(5);
/// A region of each public partition, whose STS is always on.
const PARTITIONS: [&str; 3] = ["us-east-1", "cn-north-1", "us-gov-west-1"];

/// Which STS is asked, and how it is reached.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub network: Network,
    pub sts_endpoint: Option<String>,
    pub region: Option<String>,
}

/// Asks about each pair for `limit` in all. What is not known by then is
/// missing from the answer.
pub async fn run<K>(
    settings: &Settings,
    pairs: impl IntoIterator<Item = (K, Credentials)>,
    limit: Duration,
) -> HashMap<K, Verified>
where
    K: Eq + std::hash::Hash + Send + 'static,
{
    let mut verified = HashMap::new();
    let mut waiting = pairs.into_iter().peekable();
    if waiting.peek().is_none() {
        return verified;
    }
    let end = Instant::now() + limit;
    let services = settings.clone();
    let services = match timeout_at(end, spawn_blocking(move || services.all())).await {
        Ok(Ok(services)) => Arc::new(services),
        _ => return verified,
    };
    let mut asking = JoinSet::new();
    loop {
        while asking.len() < CONCURRENCY
            && let Some((key, credentials)) = waiting.next()
        {
            let services = Arc::clone(&services);
            asking.spawn(async move { (key, ask(&services, &credentials).await) });
        }
        match timeout_at(end, asking.join_next()).await {
            Ok(Some(Ok((key, told)))) => {
                verified.insert(key, told);
            }
            // One that ended badly says nothing of the others.
            Ok(Some(Err(_))) => {}
            Ok(None) | Err(_) => return verified,
        }
    }
}

impl Settings {
    /// STS of the home partition first. Reads certificates.
    fn all(&self) -> Vec<Sts> {
        let home = self.region.as_deref().unwrap_or(PARTITIONS[0]);
        let others = PARTITIONS
            .into_iter()
            .filter(|region| self.sts_endpoint.is_none() && partition(region) != partition(home));
        std::iter::once(home)
            .chain(others)
            .filter_map(|region| {
                let sts = Sts::new(&self.network, self.sts_endpoint.as_ref(), region);
                sts.inspect_err(|error| log::error!("keys cannot be verified: {error}"))
                    .ok()
            })
            .collect()
    }
}

async fn ask(services: &[Sts], credentials: &Credentials) -> Verified {
    let mut at_home = None;
    for sts in services {
        let answer = sts.get_caller_identity(credentials, CALL_LIMIT).await;
        let skew = answer
            .date
            .map(|date| Timestamp::now().duration_since(date));
        let is_skewed = skew.is_some_and(|skew| skew.abs() >= MAX_SKEW);
        let told = judge(&answer.caller, is_skewed);
        match told {
            Verified::Active | Verified::WrongSecret => return told,
            Verified::Inactive if at_home.is_none() => at_home = Some(told),
            // Without an answer from home the others say too little.
            Verified::Unknown if at_home.is_none() => return told,
            Verified::Inactive | Verified::Unknown => {}
        }
    }
    at_home.unwrap_or(Verified::Unknown)
}

fn judge(caller: &Caller, is_skewed: bool) -> Verified {
    match caller {
        Caller::Known { .. } => Verified::Active,
        Caller::Refused { refusal, .. } => match refusal {
            // Who they are was clear by then.
            Refusal::Denied => Verified::Active,
            Refusal::UnknownKey => Verified::Inactive,
            Refusal::Expired | Refusal::BadSignature if is_skewed => Verified::Unknown,
            Refusal::Expired => Verified::Inactive,
            Refusal::BadSignature => Verified::WrongSecret,
            Refusal::OutOfTime | Refusal::Other => Verified::Unknown,
        },
        Caller::Silent { .. } => Verified::Unknown,
    }
}
