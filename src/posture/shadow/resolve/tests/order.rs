//! The order in which each SDK asks.

use super::*;

/// One thing that a chain may come to, and what takes it away again.
fn take_away(case: Case, what: &str) -> Case {
    let without = |mut case: Case, path: &'static str, keys: &[&str]| {
        if let Some(text) = case.files.get_mut(path) {
            let kept = text.lines().filter(|line| {
                let key = line.split('=').next().unwrap().trim();
                !keys.contains(&key)
            });
            *text = kept.collect::<Vec<_>>().join("\n");
        }
        case
    };
    match what {
        "env" => case.unset("AWS_ACCESS_KEY_ID").unset("AWS_ACCESS_KEY"),
        "amazon" => case.unset("AMAZON_ACCESS_KEY_ID"),
        "properties" => Case {
            properties: BTreeMap::new(),
            ..case
        },
        "web-identity" => case.unset("AWS_WEB_IDENTITY_TOKEN_FILE"),
        "role" => without(case, CONFIG, &["role_arn", "source_profile"]),
        "sso" => without(case, CONFIG, &["sso_start_url"]),
        "login" => without(case, CONFIG, &["login_session"]),
        "process" => without(case, CONFIG, &["credential_process"]),
        "credentials" => without(case, CREDENTIALS, &["aws_access_key_id"]),
        "config" => without(case, CONFIG, &["aws_access_key_id"]),
        "original" => case.unset("AWS_CREDENTIAL_FILE"),
        "boto" => case.unset("BOTO_CONFIG"),
        "container" => case.unset("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        other => panic!("{other}"),
    }
}

fn everything() -> Case {
    Case::new()
        .keys(0)
        .env("AMAZON_ACCESS_KEY_ID", "ID1")
        .env("AMAZON_SECRET_ACCESS_KEY", "SECRET")
        .property("aws.accessKeyId", "ID2")
        .property("aws.secretKey", "SECRET")
        .property("aws.secretAccessKey", "SECRET")
        .env("AWS_WEB_IDENTITY_TOKEN_FILE", "/token")
        .env("AWS_ROLE_ARN", "arn")
        .env("AWS_SDK_LOAD_CONFIG", "1")
        .env("AWS_CREDENTIAL_FILE", "/original")
        .file("/original", "AWSAccessKeyId=ID6\nAWSSecretKey=SECRET\n")
        .env("BOTO_CONFIG", "/boto")
        .file(
            "/boto",
            "[Credentials]\naws_access_key_id=ID7\naws_secret_access_key=SECRET\n",
        )
        .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://localhost")
        .file(
            CREDENTIALS,
            "[default]\naws_access_key_id = ID4\naws_secret_access_key = SECRET\n",
        )
        .file(
            CONFIG,
            "[profile default]\nrole_arn = arn\nsource_profile = base\n\
             sso_start_url = https://x\nlogin_session = x\ncredential_process = x\n\
             aws_access_key_id = ID5\naws_secret_access_key = SECRET\n\
             [profile base]\naws_access_key = x\n",
        )
        .file("/unused", "")
}

/// Each row of the table from its first step to its last: with all of the
/// sources there the first answers, and each that goes leaves the next.
#[test]
fn every_sdk_asks_in_its_own_order() {
    let botocore: &[(&str, &str)] = &[
        ("env", "static 0"),
        ("role", "static 3"),
        ("web-identity", "temporary"),
        ("sso", "temporary"),
        ("credentials", "static 4"),
        ("login", "temporary"),
        ("process", "unknown"),
        ("config", "static 5"),
        ("original", "static 6"),
        ("boto", "static 7"),
        ("container", "temporary"),
    ];
    let smithy: &[(&str, &str)] = &[
        ("env", "static 0"),
        ("role", "static 3"),
        ("sso", "temporary"),
        ("login", "temporary"),
        ("process", "unknown"),
        ("credentials", "static 4"),
        ("config", "static 5"),
        ("web-identity", "temporary"),
        ("container", "temporary"),
    ];
    let go: &[(&str, &str)] = &[
        ("env", "static 0"),
        ("web-identity", "temporary"),
        ("role", "static 3"),
        ("credentials", "static 4"),
        ("config", "static 5"),
        ("sso", "temporary"),
        ("process", "unknown"),
        ("container", "temporary"),
    ];
    let rows: &[(&'static Chain, &[(&str, &str)])] = &[
        (&chain::BOTOCORE, botocore),
        (&chain::CLI_V1, botocore),
        (&chain::CLI_V2, botocore),
        (
            &chain::JAVA_V1,
            &[
                ("env", "static 0"),
                ("properties", "static 2"),
                ("web-identity", "temporary"),
                ("role", "static 3"),
                ("process", "unknown"),
                ("credentials", "static 4"),
                ("config", "static 5"),
                ("container", "temporary"),
            ],
        ),
        (
            &chain::JAVA_V2,
            &[
                ("properties", "static 2"),
                ("env", "static 0"),
                ("web-identity", "temporary"),
                ("sso", "temporary"),
                ("role", "static 3"),
                ("process", "unknown"),
                ("login", "temporary"),
                ("credentials", "static 4"),
                ("config", "static 5"),
                ("container", "temporary"),
            ],
        ),
        (&chain::GO_V1, go),
        (&chain::GO_V2, go),
        (
            &chain::JS_V2,
            &[
                ("env", "static 0"),
                ("amazon", "static 1"),
                ("sso", "temporary"),
                ("role", "static 3"),
                ("credentials", "static 4"),
                ("config", "static 5"),
                ("container", "temporary"),
                ("process", "unknown"),
                ("web-identity", "temporary"),
            ],
        ),
        (
            &chain::JS_V3,
            &[
                ("env", "static 0"),
                ("role", "static 3"),
                ("credentials", "static 4"),
                ("config", "static 5"),
                ("process", "unknown"),
                ("sso", "temporary"),
                ("login", "temporary"),
                ("web-identity", "temporary"),
                ("container", "temporary"),
            ],
        ),
        (
            &chain::DOTNET_V3,
            &[
                ("web-identity", "temporary"),
                ("role", "static 3"),
                ("credentials", "static 4"),
                ("config", "static 5"),
                ("process", "unknown"),
                ("sso", "temporary"),
                ("env", "static 0"),
                ("container", "temporary"),
            ],
        ),
        (
            &chain::DOTNET_V4,
            &[
                ("env", "static 0"),
                ("web-identity", "temporary"),
                ("role", "static 3"),
                ("credentials", "static 4"),
                ("config", "static 5"),
                ("process", "unknown"),
                ("sso", "temporary"),
                ("login", "temporary"),
                ("container", "temporary"),
            ],
        ),
        (
            &chain::PHP,
            &[
                ("env", "static 0"),
                ("web-identity", "temporary"),
                ("sso", "temporary"),
                ("credentials", "static 4"),
                ("process", "unknown"),
                ("config", "static 5"),
                ("container", "temporary"),
            ],
        ),
        (
            &chain::RUBY,
            &[
                ("env", "static 0"),
                ("amazon", "static 1"),
                ("web-identity", "temporary"),
                ("sso", "temporary"),
                ("role", "static 3"),
                ("credentials", "static 4"),
                ("config", "static 5"),
                ("process", "unknown"),
                ("container", "temporary"),
            ],
        ),
        (&chain::RUST, smithy),
        (
            &chain::CPP,
            &[
                ("env", "static 0"),
                ("credentials", "static 4"),
                ("process", "unknown"),
                ("web-identity", "temporary"),
                ("sso", "temporary"),
                ("container", "temporary"),
            ],
        ),
        (
            &chain::KOTLIN,
            &[
                ("properties", "static 2"),
                ("env", "static 0"),
                ("web-identity", "temporary"),
                ("role", "static 3"),
                ("sso", "temporary"),
                ("login", "temporary"),
                ("process", "unknown"),
                ("credentials", "static 4"),
                ("config", "static 5"),
                ("container", "temporary"),
            ],
        ),
        (&chain::SWIFT, smithy),
    ];
    assert_eq!(rows.len(), ALL.len());
    for (chain, steps) in rows {
        let mut case = everything();
        let config = case.files[CONFIG].replace(
            "aws_access_key = x",
            &expand("aws_secret_access_key = SECRET\nAWS_ACCESS_KEY_ID = ID3"),
        );
        case.files.insert(CONFIG, config);
        for (step, answer) in *steps {
            assert_eq!(case.answer(chain), *answer, "{} at {step}", chain.name);
            case = take_away(case, step);
        }
        assert_eq!(case.answer(chain), "role", "{} at its end", chain.name);
    }
}
