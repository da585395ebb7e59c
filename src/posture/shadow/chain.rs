//! The default credential chain of each AWS SDK, as a table.
//!
//! Read in the SDKs' own sources, which each row names. Where a row is silent
//! on a point that [`Chain`] asks about, the SDK does what most do.

mod sdk;

pub(super) use sdk::*;

/// What a chain asks, one after the other; the first that answers ends it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// Variables with an ID and a secret.
    Environment(Names),
    /// Java system properties with an ID and a secret.
    Properties(Names),
    /// `AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN`.
    WebIdentityVariables,
    /// What the profile in use has in the shared files, in this order.
    Profile(Layer, &'static [Kind]),
    /// `AWS_CREDENTIAL_FILE`, then `BOTO_CONFIG` or `/etc/boto.cfg` and
    /// `~/.boto`.
    BotoFiles,
    /// `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` or `_FULL_URI`.
    Container,
    /// The role of the instance.
    Imds,
}

/// Names of an ID and of its secret; for each the first that is set counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    pub(super) id: &'static [&'static str],
    pub(super) secret: &'static [&'static str],
}

/// Which of the shared files a step sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    Credentials,
    Config,
    /// Both, the credentials file over the other, key by key.
    Merged,
}

/// A way in which a profile gives credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `role_arn` with `source_profile`.
    SourceProfile,
    /// `role_arn` with `credential_source`.
    CredentialSource,
    /// `role_arn` with `web_identity_token_file`.
    WebIdentity,
    /// `sso_session` or `sso_start_url`.
    Sso,
    /// `login_session`.
    Login,
    /// `credential_process`.
    Process,
    /// `aws_access_key_id` with `aws_secret_access_key`.
    Keys,
}

/// What a value of nothing but blanks is to the SDK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blank {
    /// A value, which then signs nothing.
    Value,
    Unset,
}

/// What follows when the profile that is asked for is in neither file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Next,
    /// An error before anything is asked, if the profile was named.
    StopsAll,
    /// The same, and an empty name is one too.
    StopsAllEvenEmpty,
    /// An error when its turn comes, if the profile was named.
    Stops,
}

/// Where `~` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Home {
    /// `HOME`, else the account's entry.
    VariableOrAccount,
    /// `HOME` alone.
    Variable,
    /// `HOME`, else the working directory.
    VariableOrDirectory,
    /// `HOME`, else the property `user.home`, which the account's entry sets.
    VariableOrProperty,
    /// The property `user.home`.
    Property,
}

/// Whether the config file is read, and the variable of the credentials file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    /// Without `AWS_SDK_LOAD_CONFIG` (true as Go parses it) no config file.
    GoLoadConfig,
    /// Without `AWS_SDK_LOAD_CONFIG` (not empty) neither.
    JsLoadConfig,
}

/// When IMDS is switched off by the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Off {
    /// `AWS_EC2_METADATA_DISABLED` is `true`, in any case.
    True,
    /// It is anything but empty.
    AnyValue,
    /// It is anything but empty and `false`.
    AnyButFalse,
    /// The property `com.amazonaws.sdk.disableEc2Metadata`, or the variable,
    /// is `true`.
    TrueOrJavaV1Property,
    /// The property `aws.disableEc2Metadata`, or the variable, is `true`.
    TrueOrJavaV2Property,
}

/// One SDK.
#[derive(Debug)]
pub(super) struct Chain {
    /// As it is told.
    pub(super) name: &'static str,
    pub(super) steps: &'static [Step],
    /// Variables that name the profile, the strongest first.
    pub(super) profile: &'static [&'static str],
    /// A Java system property that names it and beats the variables.
    pub(super) profile_property: Option<&'static str>,
    /// A named profile takes the place of keys in the environment.
    pub(super) profile_skips_environment: bool,
    pub(super) missing: Missing,
    pub(super) blank: Blank,
    /// A name that is there and empty hides the names after it.
    pub(super) empty_hides: bool,
    /// An ID without its secret in the environment is an error.
    pub(super) lone_id_stops: bool,
    /// A profile with an ID alone, or a role without a source, is an error.
    pub(super) broken_profile_stops: bool,
    /// A source profile's own keys count before its own role.
    pub(super) source_keys_first: bool,
    pub(super) home: Home,
    pub(super) gate: Gate,
    pub(super) off: Off,
    /// Variables of the credentials file, the strongest first.
    pub(super) credentials_file: &'static [&'static str],
    /// Variables of the config file.
    pub(super) config_file: &'static [&'static str],
    /// `[default]` in the config file is a profile, as is `[profile default]`.
    pub(super) plain_default: bool,
}

/// What most SDKs do.
const COMMON: Chain = Chain {
    name: "",
    steps: &[],
    profile: &["AWS_PROFILE"],
    profile_property: None,
    profile_skips_environment: false,
    missing: Missing::Next,
    blank: Blank::Value,
    empty_hides: false,
    lone_id_stops: false,
    broken_profile_stops: false,
    source_keys_first: true,
    home: Home::VariableOrAccount,
    gate: Gate::Open,
    off: Off::True,
    credentials_file: &["AWS_SHARED_CREDENTIALS_FILE"],
    config_file: &["AWS_CONFIG_FILE"],
    plain_default: true,
};

/// Every SDK, for a program that could use any.
pub(super) const ALL: &[&Chain] = &[
    &BOTOCORE, &CLI_V1, &CLI_V2, &JAVA_V1, &JAVA_V2, &GO_V1, &GO_V2, &JS_V2, &JS_V3, &DOTNET_V3,
    &DOTNET_V4, &PHP, &RUBY, &RUST, &CPP, &KOTLIN, &SWIFT,
];
