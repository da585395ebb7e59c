//! The default credential chain of each AWS SDK, as a table.
//!
//! Read in the SDKs' own sources, which each row names. Where a row is silent
//! on a point that [`Chain`] asks about, the SDK does what most do.

use Kind::{CredentialSource, Keys, Login, Process, SourceProfile, Sso, WebIdentity};
use Layer::{Config, Credentials, Merged};
use Step::{BotoFiles, Container, Environment, Imds, Profile, Properties, WebIdentityVariables};

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

const PLAIN: Names = Names {
    id: &["AWS_ACCESS_KEY_ID"],
    secret: &["AWS_SECRET_ACCESS_KEY"],
};

const KEYS: Step = Environment(PLAIN);

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

/// `botocore/credentials.py`, `create_credential_resolver`, and
/// `configprovider.py` for the profile. Version 1 of the CLI is built on it.
pub(super) const BOTOCORE: Chain = Chain {
    name: "boto3",
    steps: &[
        KEYS,
        Profile(Merged, &[SourceProfile, CredentialSource]),
        WebIdentityVariables,
        Profile(Merged, &[WebIdentity, Sso]),
        Profile(Credentials, &[Keys]),
        Profile(Merged, &[Login, Process]),
        Profile(Config, &[Keys]),
        BotoFiles,
        Container,
        Imds,
    ],
    profile: &["AWS_DEFAULT_PROFILE", "AWS_PROFILE"],
    missing: Missing::StopsAllEvenEmpty,
    lone_id_stops: true,
    broken_profile_stops: true,
    ..COMMON
};

pub(super) const CLI_V1: Chain = Chain {
    name: "AWS CLI 1",
    ..BOTOCORE
};

/// `awscli/botocore` of the `v2` branch.
pub(super) const CLI_V2: Chain = Chain {
    name: "AWS CLI 2",
    profile: &["AWS_PROFILE", "AWS_DEFAULT_PROFILE"],
    ..BOTOCORE
};

/// `DefaultAWSCredentialsProviderChain.java`, `AwsProfileNameLoader.java`,
/// `AwsProfileFileLocationProvider.java` of aws-java-sdk-core.
pub(super) const JAVA_V1: Chain = Chain {
    name: "Java SDK 1",
    steps: &[
        Environment(Names {
            id: &["AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY"],
            secret: &["AWS_SECRET_KEY", "AWS_SECRET_ACCESS_KEY"],
        }),
        Properties(Names {
            id: &["aws.accessKeyId"],
            secret: &["aws.secretKey"],
        }),
        WebIdentityVariables,
        Profile(Merged, &[SourceProfile, CredentialSource, Process, Keys]),
        Container,
        Imds,
    ],
    profile_property: Some("aws.profile"),
    blank: Blank::Unset,
    source_keys_first: false,
    home: Home::Property,
    off: Off::TrueOrJavaV1Property,
    credentials_file: &[
        "AWS_CREDENTIAL_PROFILES_FILE",
        "AWS_SHARED_CREDENTIALS_FILE",
    ],
    ..COMMON
};

/// `AwsCredentialsProviderChain.java`, `DefaultCredentialsProvider.java` and
/// `ProfileCredentialsUtils.java` of `core/auth`; `ProfileFileLocation.java`
/// of `core/profiles`.
pub(super) const JAVA_V2: Chain = Chain {
    name: "Java SDK 2",
    steps: &[
        Properties(Names {
            id: &["aws.accessKeyId"],
            secret: &["aws.secretAccessKey"],
        }),
        KEYS,
        WebIdentityVariables,
        Profile(
            Merged,
            &[
                WebIdentity,
                Sso,
                SourceProfile,
                CredentialSource,
                Process,
                Login,
                Keys,
            ],
        ),
        Container,
        Imds,
    ],
    profile_property: Some("aws.profile"),
    blank: Blank::Unset,
    source_keys_first: false,
    home: Home::VariableOrProperty,
    off: Off::TrueOrJavaV2Property,
    ..COMMON
};

/// `aws/session/credentials.go`, `env_config.go`, `shared_config.go`.
pub(super) const GO_V1: Chain = Chain {
    name: "Go SDK 1",
    steps: &[
        Environment(Names {
            id: &["AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY"],
            secret: &["AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY"],
        }),
        WebIdentityVariables,
        Profile(
            Merged,
            &[
                SourceProfile,
                Keys,
                CredentialSource,
                WebIdentity,
                Sso,
                Process,
            ],
        ),
        Container,
        Imds,
    ],
    source_keys_first: false,
    gate: Gate::GoLoadConfig,
    ..COMMON
};

/// `config/resolve_credentials.go`, `config/config.go` (`resolveConfigLoaders`
/// fails for a profile that `AWS_PROFILE` names), `config/env_config.go`.
pub(super) const GO_V2: Chain = Chain {
    name: "Go SDK 2",
    profile: &["AWS_PROFILE", "AWS_DEFAULT_PROFILE"],
    missing: Missing::StopsAll,
    gate: Gate::Open,
    ..GO_V1
};

/// `lib/credentials/credential_provider_chain.js`, `lib/node_loader.js`,
/// `lib/shared-ini/ini-loader.js`.
pub(super) const JS_V2: Chain = Chain {
    name: "JavaScript SDK 2",
    steps: &[
        KEYS,
        Environment(Names {
            id: &["AMAZON_ACCESS_KEY_ID"],
            secret: &["AMAZON_SECRET_ACCESS_KEY"],
        }),
        Profile(Merged, &[Sso]),
        Profile(Merged, &[SourceProfile, Keys]),
        Container,
        Profile(Merged, &[Process]),
        WebIdentityVariables,
        Imds,
    ],
    gate: Gate::JsLoadConfig,
    off: Off::AnyValue,
    ..COMMON
};

/// `packages/credential-provider-node/src/defaultProvider.ts`,
/// `credential-provider-ini/src/resolveProfileData.ts`.
pub(super) const JS_V3: Chain = Chain {
    name: "JavaScript SDK 3",
    steps: &[
        KEYS,
        Profile(
            Merged,
            &[
                SourceProfile,
                CredentialSource,
                Keys,
                WebIdentity,
                Process,
                Sso,
                Login,
            ],
        ),
        WebIdentityVariables,
        Container,
        Imds,
    ],
    profile_skips_environment: true,
    off: Off::AnyButFalse,
    ..COMMON
};

/// `FallbackCredentialsFactory.cs`, `EnvironmentVariablesAWSCredentials.cs`,
/// `SharedCredentialsFile.cs`.
pub(super) const DOTNET_V3: Chain = Chain {
    name: ".NET SDK 3",
    steps: &[
        WebIdentityVariables,
        Profile(
            Merged,
            &[
                SourceProfile,
                CredentialSource,
                WebIdentity,
                Keys,
                Process,
                Sso,
            ],
        ),
        Environment(Names {
            id: &["AWS_ACCESS_KEY_ID"],
            secret: &["AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY"],
        }),
        Container,
        Imds,
    ],
    home: Home::VariableOrDirectory,
    ..COMMON
};

/// `DefaultAWSCredentialsIdentityResolver.cs`.
pub(super) const DOTNET_V4: Chain = Chain {
    name: ".NET SDK 4",
    steps: &[
        KEYS,
        WebIdentityVariables,
        Profile(
            Merged,
            &[
                SourceProfile,
                CredentialSource,
                WebIdentity,
                Keys,
                Process,
                Sso,
                Login,
            ],
        ),
        Container,
        Imds,
    ],
    missing: Missing::Stops,
    ..DOTNET_V3
};

/// `src/Credentials/CredentialProvider.php`. It looks for `profile NAME` in
/// the config file and nothing else, and finds no source profile there.
pub(super) const PHP: Chain = Chain {
    name: "PHP SDK 3",
    steps: &[
        KEYS,
        WebIdentityVariables,
        Profile(Config, &[Sso]),
        Profile(Credentials, &[Process]),
        Profile(Credentials, &[SourceProfile, CredentialSource, Keys]),
        Profile(Config, &[Process]),
        Profile(Config, &[CredentialSource, Keys]),
        Container,
        Imds,
    ],
    home: Home::Variable,
    config_file: &[],
    plain_default: false,
    ..COMMON
};

/// `credential_provider_chain.rb`, `shared_config.rb` of aws-sdk-core.
pub(super) const RUBY: Chain = Chain {
    name: "Ruby SDK 3",
    steps: &[
        Environment(Names {
            id: &[
                "AWS_ACCESS_KEY_ID",
                "AMAZON_ACCESS_KEY_ID",
                "AWS_ACCESS_KEY",
            ],
            secret: &[
                "AWS_SECRET_ACCESS_KEY",
                "AMAZON_SECRET_ACCESS_KEY",
                "AWS_SECRET_KEY",
            ],
        }),
        WebIdentityVariables,
        Profile(
            Merged,
            &[
                WebIdentity,
                Sso,
                SourceProfile,
                CredentialSource,
                Keys,
                Process,
            ],
        ),
        Container,
        Imds,
    ],
    empty_hides: true,
    ..COMMON
};

/// `src/default_provider/credentials.rs`, `src/environment/credentials.rs`,
/// `src/profile/credentials/repr.rs` of aws-config.
pub(super) const RUST: Chain = Chain {
    name: "Rust SDK",
    steps: &[
        Environment(Names {
            id: &["AWS_ACCESS_KEY_ID"],
            secret: &["AWS_SECRET_ACCESS_KEY", "SECRET_ACCESS_KEY"],
        }),
        Profile(
            Merged,
            &[
                SourceProfile,
                CredentialSource,
                WebIdentity,
                Sso,
                Login,
                Process,
                Keys,
            ],
        ),
        WebIdentityVariables,
        Container,
        Imds,
    ],
    blank: Blank::Unset,
    broken_profile_stops: true,
    home: Home::Variable,
    ..COMMON
};

/// `AWSCredentialsProviderChain.cpp`, `AWSCredentialsProvider.cpp` of
/// aws-cpp-sdk-core. No role of a profile is assumed.
pub(super) const CPP: Chain = Chain {
    name: "C++ SDK",
    steps: &[
        KEYS,
        Profile(Credentials, &[Keys]),
        Profile(Config, &[Process]),
        WebIdentityVariables,
        Profile(Config, &[Sso]),
        Container,
        Imds,
    ],
    profile: &["AWS_DEFAULT_PROFILE", "AWS_PROFILE"],
    ..COMMON
};

/// `DefaultChainCredentialsProvider.kt`, `ProfileChain.kt`.
pub(super) const KOTLIN: Chain = Chain {
    name: "Kotlin SDK",
    steps: &[
        Properties(Names {
            id: &["aws.accessKeyId"],
            secret: &["aws.secretAccessKey"],
        }),
        KEYS,
        WebIdentityVariables,
        Profile(
            Merged,
            &[
                SourceProfile,
                CredentialSource,
                WebIdentity,
                Sso,
                Login,
                Process,
                Keys,
            ],
        ),
        Container,
        Imds,
    ],
    profile_property: Some("aws.profile"),
    home: Home::VariableOrProperty,
    off: Off::TrueOrJavaV2Property,
    ..COMMON
};

/// `DefaultAWSCredentialIdentityResolverChain.swift`.
pub(super) const SWIFT: Chain = Chain {
    name: "Swift SDK",
    steps: &[
        KEYS,
        Profile(
            Merged,
            &[
                SourceProfile,
                CredentialSource,
                WebIdentity,
                Sso,
                Login,
                Process,
                Keys,
            ],
        ),
        WebIdentityVariables,
        Container,
        Imds,
    ],
    ..COMMON
};

/// s3cmd looks at its own file first, which `tools` does.
pub(super) const S3CMD: Chain = Chain {
    name: "s3cmd",
    steps: &[
        Environment(Names {
            id: &["AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID"],
            secret: &["AWS_SECRET_KEY", "AWS_SECRET_ACCESS_KEY"],
        }),
        Imds,
    ],
    ..COMMON
};

/// `src/aws/flb_aws_credentials.c` of fluent-bit, below its own settings.
pub(super) const FLUENT_BIT: Chain = Chain {
    name: "fluent-bit",
    steps: &[
        KEYS,
        Profile(Credentials, &[Keys]),
        Profile(Config, &[Process]),
        WebIdentityVariables,
        Container,
        Imds,
    ],
    profile: &["AWS_PROFILE", "AWS_DEFAULT_PROFILE"],
    ..COMMON
};

/// aws-c-auth's default chain, which mountpoint-s3 uses.
pub(super) const MOUNTPOINT: Chain = Chain {
    name: "mountpoint-s3",
    ..SWIFT
};

/// Every SDK, for a program that could use any.
pub(super) const ALL: &[&Chain] = &[
    &BOTOCORE, &CLI_V1, &CLI_V2, &JAVA_V1, &JAVA_V2, &GO_V1, &GO_V2, &JS_V2, &JS_V3, &DOTNET_V3,
    &DOTNET_V4, &PHP, &RUBY, &RUST, &CPP, &KOTLIN, &SWIFT,
];
