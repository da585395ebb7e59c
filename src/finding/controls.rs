//! The published controls that a rule answers.
//!
//! CIS moves its numbers between versions of the AWS Foundations Benchmark, so
//! each is named with its version. AWS Config rules and Prowler checks go by
//! their own identifiers.

use super::Rule;

const INSTANCE_ROLES: &[&str] = &[
    "CIS-AWS-1.4.0/1.18",
    "CIS-AWS-1.5.0/1.18",
    "CIS-AWS-2.0.0/1.18",
    "CIS-AWS-3.0.0/1.18",
    "CIS-AWS-4.0.1/1.18",
    "CIS-AWS-5.0.0/1.17",
    "CIS-AWS-6.0.0/2.17",
    "CIS-AWS-7.0.0/2.16",
];

const ROLE_ATTACHED: &[&str] = &[
    "CIS-AWS-1.4.0/1.18",
    "CIS-AWS-1.5.0/1.18",
    "CIS-AWS-2.0.0/1.18",
    "CIS-AWS-3.0.0/1.18",
    "CIS-AWS-4.0.1/1.18",
    "CIS-AWS-5.0.0/1.17",
    "CIS-AWS-6.0.0/2.17",
    "CIS-AWS-7.0.0/2.16",
    "AWS-Config/ec2-instance-profile-attached",
    "Prowler/ec2_instance_profile_attached",
];

const IMDSV2: &[&str] = &[
    "CIS-AWS-2.0.0/5.6",
    "CIS-AWS-3.0.0/5.6",
    "CIS-AWS-4.0.1/5.7",
    "CIS-AWS-5.0.0/5.7",
    "CIS-AWS-6.0.0/6.7",
    "CIS-AWS-7.0.0/6.7",
    "AWS-Config/ec2-imdsv2-check",
    "Prowler/ec2_instance_imdsv2_enabled",
];

const HOP_LIMIT: &[&str] = &["AWS-Config/ec2-token-hop-limit-check"];

const ADMIN_POLICY: &[&str] = &["AWS-Config/iam-policy-no-statements-with-admin-access"];

/// The controls that a finding of this rule bears on; may be empty.
pub const fn controls(rule: Rule) -> &'static [&'static str] {
    match rule {
        Rule::AccessKeyPair
        | Rule::AccessKeyIdAlone
        | Rule::SecretAccessKey
        | Rule::TemporaryCredentials
        | Rule::BedrockApiKey
        | Rule::SesSmtpCredentials
        | Rule::RoleShadowed => INSTANCE_ROLES,
        Rule::RoleMissing | Rule::RoleCredentialsUnusable => ROLE_ATTACHED,
        Rule::ImdsV1Enabled => IMDSV2,
        Rule::ImdsHopLimit => HOP_LIMIT,
        Rule::RoleOverprivileged => ADMIN_POLICY,
        Rule::ImdsUnreachable
        | Rule::ImdsDisabled
        | Rule::ImdsEndpointOverride
        | Rule::RoleTrustTooWide => &[],
    }
}
