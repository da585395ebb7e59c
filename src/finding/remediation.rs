//! What to do about a finding, in words that can be followed at night.

use std::borrow::Cow;
use std::fmt;

use serde::{Serialize, Serializer};

use super::{AccessKeyId, GitState, Instance, PostureCheck, Rule};

/// The remediation of a finding. That for a key is put into words when it is
/// told: they are long, and hold the ID.
#[derive(Debug, Clone)]
pub enum Remediation {
    /// For a rule that is about keys; no word of it depends on the instance.
    OfKey(Rule, Option<AccessKeyId>, Option<GitState>),
    Text(Box<str>),
}

impl Remediation {
    /// The same with another ID.
    #[must_use]
    pub(super) fn with_id(self, id: AccessKeyId, other: AccessKeyId) -> Self {
        match self {
            Self::OfKey(rule, known, state) => Self::OfKey(rule, known.map(|_| other), state),
            Self::Text(text) => text.replace(id.as_str(), other.as_str()).into(),
        }
    }
}

impl From<String> for Remediation {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl fmt::Display for Remediation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OfKey(rule, id, state) => {
                let text = remediation(*rule, id.as_ref(), &Instance::default());
                match state {
                    Some(state) => f.write_str(&text.replacen(HERE, from_git(*state), 1)),
                    None => f.write_str(&text),
                }
            }
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl Serialize for Remediation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What the remediation for a key begins with.
const HERE: &str = "remove it here";

/// The same for what git keeps.
const fn from_git(state: GitState) -> &'static str {
    match state {
        GitState::InWorkingTree => {
            "remove it from the file and from the history (git filter-repo --replace-text)"
        }
        GitState::InHistoryOnly => {
            "remove it from the history (git filter-repo --replace-text) or the repository from \
             the host"
        }
        GitState::InIndexOnly => "remove it from the index (git rm --cached, or git add anew)",
        GitState::Unreachable => {
            "remove the object (git reflog expire --expire=now --all && git gc --prune=now)"
        }
    }
}

/// The remediation for `rule`. Commands can be pasted; what is not known is a
/// placeholder in angle brackets.
pub fn remediation(rule: Rule, access_key_id: Option<&AccessKeyId>, instance: &Instance) -> String {
    let id = access_key_id.map_or("<access-key-id>", AccessKeyId::as_str);
    let instance_id = instance.instance_id.as_deref().unwrap_or("<instance-id>");
    let group = instance
        .auto_scaling_group
        .as_deref()
        .map_or("<auto-scaling-group>".into(), quoted);
    let options = |option: &str| {
        format!(
            "aws ec2 modify-instance-metadata-options --instance-id {instance_id} {option}; \
             set the same in the launch template of {group} and start an instance refresh"
        )
    };
    match rule {
        Rule::AccessKeyPair | Rule::AccessKeyIdAlone => format!(
            "remove it here and let the SDK take the instance's role; then, when \
             `aws iam get-access-key-last-used --access-key-id {id}` shows no more use: \
             aws iam update-access-key --access-key-id {id} --status Inactive --user-name <user>"
        ),
        Rule::SecretAccessKey => "remove it here and let the SDK take the instance's role; find \
             its access key ID (aws iam list-access-keys --user-name <user>) and make it inactive"
            .into(),
        Rule::TemporaryCredentials => {
            "remove it here: SDKs fetch and renew the role's credentials \
             themselves; if it was exposed, revoke the role's older sessions (IAM console, role, \
             Revoke sessions)"
                .into()
        }
        Rule::BedrockApiKey => "remove it here and call Bedrock with the instance's role; then \
             aws iam list-service-specific-credentials --user-name <user> and \
             aws iam delete-service-specific-credential"
            .into(),
        Rule::SesSmtpCredentials => format!(
            "send through the SES API with the instance's role, or move the password to Secrets \
             Manager; then aws iam update-access-key --access-key-id {id} --status Inactive \
             --user-name <user>"
        ),
        Rule::ImdsUnreachable => {
            "let the host reach 169.254.169.254 port 80 directly: check routes \
             (ip route get 169.254.169.254), the local firewall, and that no proxy stands in \
             between"
                .into()
        }
        Rule::ImdsDisabled => options("--http-endpoint enabled --http-tokens required"),
        Rule::ImdsV1Enabled => options("--http-tokens required"),
        Rule::ImdsHopLimit => options("--http-put-response-hop-limit 1"),
        Rule::ImdsEndpointOverride => "remove AWS_EC2_METADATA_* from the environment and \
             ec2_metadata_* from the profiles named above"
            .into(),
        Rule::RoleMissing => format!(
            "add an instance profile to the launch template of {group} and start an instance \
             refresh: aws ec2 create-launch-template-version --launch-template-name \
             <launch-template> --source-version '$Latest' --launch-template-data \
             '{{\"IamInstanceProfile\":{{\"Name\":\"<instance-profile>\"}}}}' && aws autoscaling \
             start-instance-refresh --auto-scaling-group-name {group}; for this instance at once: \
             aws ec2 associate-iam-instance-profile --instance-id {instance_id} \
             --iam-instance-profile Name=<instance-profile>"
        ),
        Rule::RoleCredentialsUnusable => format!(
            "check that the role of the instance profile still exists and trusts \
             ec2.amazonaws.com: aws ec2 describe-iam-instance-profile-associations \
             --filters Name=instance-id,Values={instance_id}"
        ),
        Rule::RoleOverprivileged => "give the role a policy with the actions that it uses \
             (IAM Access Analyzer can generate it) in place of the wide one"
            .into(),
        Rule::RoleTrustTooWide => "let the role's trust policy name ec2.amazonaws.com only".into(),
        Rule::RoleShadowed => format!(
            "remove the static key {id} where it is set; the role takes over at the next start of \
             the process"
        ),
    }
}

/// What comes first where a key is in user-data or a copy of it.
pub fn user_data_remediation(instance: &Instance) -> String {
    let group = instance
        .auto_scaling_group
        .as_deref()
        .unwrap_or("<auto-scaling-group>");
    format!(
        "user-data is readable by everything that runs on the instance and by whoever may \
         describe it: take the key out in a new version of the launch template of {group} (aws ec2 \
         create-launch-template-version, then modify-launch-template --default-version) and \
         replace the instances (aws autoscaling start-instance-refresh --auto-scaling-group-name \
         {group}); where an image has brought a copy along, run cloud-init clean in its build"
    )
}

/// The remediation for a failed posture check: the one for its rule, or a
/// closer one where what was observed tells the cause.
pub fn posture_remediation(check: &PostureCheck, instance: &Instance) -> String {
    let told = remediation_of_cause(check, instance);
    // The commands are the same for the other address, but for one flag.
    if check.check == Rule::ImdsUnreachable && check.reason.contains(IMDS_IPV6) {
        told.replace("ip route get", "ip -6 route get")
            .replace(IMDS_IPV4, IMDS_IPV6)
            .replace("iptables", "ip6tables")
    } else {
        told
    }
}

/// Where IMDS is on every instance, and where it may be as well.
const IMDS_IPV4: &str = "169.254.169.254";
const IMDS_IPV6: &str = "fd00:ec2::254";

fn remediation_of_cause(check: &PostureCheck, instance: &Instance) -> String {
    let role = instance.role.as_deref().unwrap_or("<role>");
    let instance_id = instance.instance_id.as_deref().unwrap_or("<instance-id>");
    let cause = check.observed.as_deref().unwrap_or_default();
    match (check.check, cause) {
        (Rule::ImdsUnreachable, "locked-by-host") => {
            "find what on this host keeps requests to IMDS in and let this service through: \
             ip route get 169.254.169.254 (a prohibit, unreachable or blackhole route, such as \
             systemd-imdsd sets), nft list ruleset, and IPAddressDeny= of the systemd unit"
                .into()
        }
        (Rule::ImdsUnreachable, "refused") => {
            "find what refuses port 80 of 169.254.169.254: nft list ruleset (reject rules), and \
             ip addr show to 169.254.169.254 (an address taken over by a local service)"
                .into()
        }
        (Rule::ImdsUnreachable, "timed-out") => {
            "find where packets to 169.254.169.254 port 80 are dropped: ip route get \
             169.254.169.254, nft list ruleset (drop rules), and the host's network set-up"
                .into()
        }
        (Rule::ImdsUnreachable, "token-timed-out") => format!(
            "run rolecall on the host itself, or let tokens travel one hop further: \
             aws ec2 modify-instance-metadata-options --instance-id {instance_id} \
             --http-put-response-hop-limit 2"
        ),
        (Rule::ImdsUnreachable, "proxy") => {
            "let requests to 169.254.169.254 bypass the proxy: take the address out of the \
             transparent redirection (nft list ruleset, iptables -t nat -S) and add it to NO_PROXY"
                .into()
        }
        (Rule::ImdsUnreachable, "throttled") => {
            "find which process asks IMDS too often (ss -tnp dst 169.254.169.254) and let it cache \
             its answers"
                .into()
        }
        (Rule::RoleCredentialsUnusable, "AssumeRoleUnauthorizedAccess") => format!(
            "let ec2.amazonaws.com assume the role in its trust policy: aws iam get-role \
             --role-name {role} --query Role.AssumeRolePolicyDocument, then aws iam \
             update-assume-role-policy --role-name {role} --policy-document file://trust.json"
        ),
        (Rule::RoleCredentialsUnusable, "InstanceProfileNotFound") => format!(
            "put a role into the instance profile again (aws iam add-role-to-instance-profile \
             --instance-profile-name <instance-profile> --role-name <role>), or attach another \
             profile: aws ec2 describe-iam-instance-profile-associations --filters \
             Name=instance-id,Values={instance_id}"
        ),
        (Rule::RoleCredentialsUnusable, "clock-skew") => {
            "set this host's clock: timedatectl set-ntp true, or chronyc makestep with chrony; on \
             EC2 the time is at 169.254.169.123 (chronyc sources should show it)"
                .into()
        }
        (Rule::RoleCredentialsUnusable, "InvalidClientTokenId" | "UnrecognizedClientException") => {
            format!(
                "see whether the role is still there (aws iam get-role --role-name {role}); one that \
                 was deleted and made anew is another role: attach its instance profile again, or \
                 stop and start the instance (aws ec2 stop-instances --instance-ids {instance_id})"
            )
        }
        (Rule::RoleCredentialsUnusable, "AccessDenied" | "AccessDeniedException") => {
            "look for a Deny that holds for the role: in the service control policies of the \
             organization (aws organizations list-policies --filter SERVICE_CONTROL_POLICY), and in \
             the policy of the VPC endpoint for STS (aws ec2 describe-vpc-endpoints)"
                .into()
        }
        (
            Rule::RoleCredentialsUnusable,
            "SignatureDoesNotMatch" | "InvalidSignatureException" | "IncompleteSignature",
        ) => {
            "find what changes requests on the way to STS (ship.proxy, a TLS inspection); without \
             one, stop and start the instance so that it gets new credentials"
                .into()
        }
        (
            Rule::RoleCredentialsUnusable,
            "expired" | "not-rotated" | "ExpiredToken" | "ExpiredTokenException",
        ) => {
            "check this host's clock (timedatectl) first; if it is right, IMDS has stopped \
             renewing: see that the role of the instance profile still exists, then stop and start \
             the instance"
                .into()
        }
        _ => remediation(check.check, None, instance),
    }
}

/// A name as a shell takes it for one word: that of a group may hold anything.
fn quoted(name: &str) -> Cow<'_, str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./:=+@,".contains(&b);
    if !name.is_empty() && name.bytes().all(plain) {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(format!("'{}'", name.replace('\'', r"'\''")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_group_runs_nothing_when_the_command_is_pasted() {
        for (name, word) in [
            ("web-asg", "web-asg"),
            ("$(reboot)", "'$(reboot)'"),
            ("a'; reboot; '", r"'a'\''; reboot; '\'''"),
        ] {
            let instance = Instance {
                auto_scaling_group: Some(name.into()),
                ..Instance::default()
            };
            let told = remediation(Rule::RoleMissing, None, &instance);
            let command = format!("--auto-scaling-group-name {word};");
            assert!(told.contains(&command), "{told}");
        }
    }
}
