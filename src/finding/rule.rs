//! The rules, under their stable public names.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! rules {
    ($($variant:ident = $name:literal, $title:literal;)*) => {
        /// What is wrong. The names are public and do not change.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Rule {
            $(#[doc = $title] #[serde(rename = $name)] $variant,)*
        }

        impl Rule {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The public name, such as `aws.access-key-pair`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// One sentence that says what is wrong.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

rules! {
    AccessKeyPair = "aws.access-key-pair", "AWS access key with its secret";
    AccessKeyIdAlone = "aws.access-key-id", "AWS access key ID without its secret";
    SecretAccessKey = "aws.secret-access-key", "AWS secret access key without its ID";
    TemporaryCredentials = "aws.temporary-credentials", "temporary AWS credentials";
    BedrockApiKey = "aws.bedrock-api-key", "Amazon Bedrock API key";
    SesSmtpCredentials = "aws.ses-smtp-credentials", "Amazon SES SMTP credentials";
    ImdsUnreachable = "imds.unreachable", "the instance metadata service cannot be reached";
    ImdsDisabled = "imds.disabled", "the instance metadata service is disabled";
    ImdsV1Enabled = "imds.v1-enabled", "the instance metadata service answers without a token (IMDSv1)";
    ImdsHopLimit = "imds.hop-limit", "metadata tokens travel further than this host";
    ImdsEndpointOverride = "imds.endpoint-override", "the metadata endpoint is overridden or switched off on this host";
    RoleMissing = "role.missing", "the instance has no IAM role";
    RoleCredentialsUnusable = "role.credentials-unusable", "the instance's role gives no usable credentials";
    RoleOverprivileged = "role.overprivileged", "the instance's role may do far more than an instance should";
    RoleTrustTooWide = "role.trust-too-wide", "others than EC2 may assume the instance's role";
    RoleShadowed = "role.shadowed", "a static key is used in place of the instance's role";
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
