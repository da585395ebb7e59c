//! The instance that the findings are about.

use serde::Serialize;

/// What the instance says of itself. Every field may be unknown: off EC2 all
/// of them are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Instance {
    pub instance_id: Option<String>,
    pub account_id: Option<String>,
    pub region: Option<String>,
    pub image_id: Option<String>,
    pub auto_scaling_group: Option<String>,
    /// When this instance was started first, RFC 3339; files born earlier
    /// came with the image.
    pub pending_time: Option<String>,
    /// The name of the role whose credentials the instance offers.
    pub role: Option<String>,
}

impl Instance {
    /// What it does not say now as it was `known` before: it does not become
    /// another one, nor moves. Its role and group may be taken away.
    #[must_use]
    pub fn completed_from(self, known: Self) -> Self {
        match (&self.instance_id, &known.instance_id) {
            (None, Some(_)) => known,
            (Some(now), Some(then)) if now == then => Self {
                account_id: self.account_id.or(known.account_id),
                region: self.region.or(known.region),
                image_id: self.image_id.or(known.image_id),
                pending_time: self.pending_time.or(known.pending_time),
                ..self
            },
            _ => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_known_stays_known_but_for_what_may_be_taken_away() {
        let known = Instance {
            instance_id: Some("i-1".into()),
            region: Some("eu-west-1".into()),
            role: Some("web".into()),
            ..Instance::default()
        };
        let of = |id: Option<&str>| Instance {
            instance_id: id.map(str::to_owned),
            ..Instance::default()
        };
        assert_eq!(of(None).completed_from(known.clone()), known);
        let same = of(Some("i-1")).completed_from(known.clone());
        assert_eq!((&same.region, &same.role), (&known.region, &None));
        assert_eq!(of(Some("i-2")).completed_from(known), of(Some("i-2")));
    }
}
