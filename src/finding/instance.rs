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
