//! The rows of the table: an SDK each, with the sources that it was read in.

use super::Kind::{CredentialSource, Keys, Login, Process, SourceProfile, Sso, WebIdentity};
use super::Layer::{Config, Credentials, Merged};
use super::Step::{
    BotoFiles, Container, Environment, Imds, Profile, Properties, WebIdentityVariables,
};
use super::{Blank, COMMON, Chain, Gate, Home, Missing, Names, Off, Step};

const PLAIN: Names = Names {
    id: &["AWS_ACCESS_KEY_ID"],
    secret: &["AWS_SECRET_ACCESS_KEY"],
};

const KEYS: Step = Environment(PLAIN);

/// A profile as the SDKs for Rust, Kotlin and Swift read it.
const PROFILE: Step = Profile(
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
);

/// `botocore/credentials.py`, `create_credential_resolver`, and
/// `configprovider.py` for the profile. Version 1 of the CLI is built on it.
pub(in crate::posture::shadow) const BOTOCORE: Chain = Chain {
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

pub(in crate::posture::shadow) const CLI_V1: Chain = Chain {
    name: "AWS CLI 1",
    ..BOTOCORE
};

/// `awscli/botocore` of the `v2` branch.
pub(in crate::posture::shadow) const CLI_V2: Chain = Chain {
    name: "AWS CLI 2",
    profile: &["AWS_PROFILE", "AWS_DEFAULT_PROFILE"],
    ..BOTOCORE
};

/// `DefaultAWSCredentialsProviderChain.java`, `AwsProfileNameLoader.java`,
/// `AwsProfileFileLocationProvider.java` of aws-java-sdk-core.
pub(in crate::posture::shadow) const JAVA_V1: Chain = Chain {
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
pub(in crate::posture::shadow) const JAVA_V2: Chain = Chain {
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
pub(in crate::posture::shadow) const GO_V1: Chain = Chain {
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
pub(in crate::posture::shadow) const GO_V2: Chain = Chain {
    name: "Go SDK 2",
    profile: &["AWS_PROFILE", "AWS_DEFAULT_PROFILE"],
    missing: Missing::StopsAll,
    gate: Gate::Open,
    ..GO_V1
};

/// `lib/credentials/credential_provider_chain.js`, `lib/node_loader.js`,
/// `lib/shared-ini/ini-loader.js`.
pub(in crate::posture::shadow) const JS_V2: Chain = Chain {
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
pub(in crate::posture::shadow) const JS_V3: Chain = Chain {
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
pub(in crate::posture::shadow) const DOTNET_V3: Chain = Chain {
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
pub(in crate::posture::shadow) const DOTNET_V4: Chain = Chain {
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
pub(in crate::posture::shadow) const PHP: Chain = Chain {
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
pub(in crate::posture::shadow) const RUBY: Chain = Chain {
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
pub(in crate::posture::shadow) const RUST: Chain = Chain {
    name: "Rust SDK",
    steps: &[
        Environment(Names {
            id: &["AWS_ACCESS_KEY_ID"],
            secret: &["AWS_SECRET_ACCESS_KEY", "SECRET_ACCESS_KEY"],
        }),
        PROFILE,
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
pub(in crate::posture::shadow) const CPP: Chain = Chain {
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
pub(in crate::posture::shadow) const KOTLIN: Chain = Chain {
    name: "Kotlin SDK",
    steps: &[
        Properties(Names {
            id: &["aws.accessKeyId"],
            secret: &["aws.secretAccessKey"],
        }),
        KEYS,
        WebIdentityVariables,
        PROFILE,
        Container,
        Imds,
    ],
    profile_property: Some("aws.profile"),
    home: Home::VariableOrProperty,
    off: Off::TrueOrJavaV2Property,
    ..COMMON
};

/// `DefaultAWSCredentialIdentityResolverChain.swift`.
pub(in crate::posture::shadow) const SWIFT: Chain = Chain {
    name: "Swift SDK",
    steps: &[KEYS, PROFILE, WebIdentityVariables, Container, Imds],
    ..COMMON
};

/// s3cmd looks at its own file first, which `tools` does.
pub(in crate::posture::shadow) const S3CMD: Chain = Chain {
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
pub(in crate::posture::shadow) const FLUENT_BIT: Chain = Chain {
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
pub(in crate::posture::shadow) const MOUNTPOINT: Chain = Chain {
    name: "mountpoint-s3",
    ..SWIFT
};
