//! What the instance is. Nothing here is judged: a fact that IMDS does not
//! give stays unknown.

use super::Clock;
use crate::finding::Instance;
use crate::imds::{Client, Error};

pub(super) struct Facts {
    pub(super) instance: Instance,
    pub(super) partition: Option<String>,
    pub(super) target_lifecycle_state: Option<String>,
}

pub(super) async fn fetch_facts(client: &Client, clock: Clock) -> Facts {
    let (identity, group, partition, lifecycle) = tokio::join!(
        clock.within("the instance identity document", client.fetch_identity()),
        clock.within("the Auto Scaling group", client.fetch_auto_scaling_group()),
        clock.within("the partition", client.fetch_partition()),
        clock.within(
            "the target lifecycle state",
            client.fetch_target_lifecycle_state()
        ),
    );
    let mut identity = told(identity).unwrap_or_default();
    if identity.region.is_none() {
        let region = clock.within("the region", client.fetch_region()).await;
        identity.region = told(region).flatten().filter(|region| is_region(region));
    }
    Facts {
        instance: Instance {
            instance_id: identity.instance_id,
            account_id: identity.account_id,
            region: identity.region,
            image_id: identity.image_id,
            auto_scaling_group: told(group).flatten(),
            pending_time: identity.pending_time,
            role: None,
        },
        partition: told(partition).flatten(),
        target_lifecycle_state: told(lifecycle).flatten(),
    }
}

/// It goes into names of hosts and pasted commands.
fn is_region(text: &str) -> bool {
    text.len() <= 63
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn told<T>(fetched: Result<T, Error>) -> Option<T> {
    fetched.inspect_err(|error| log::debug!("{error}")).ok()
}
