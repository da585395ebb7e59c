//! What another service is given beside a key of AWS, or where the secret of one
//! is empty, is not told as a key's.

use rolecall::detect::{Detector, Match};
use rolecall::secret::Secret;

use crate::support::host::{Host, KeyPair};

/// What is told of a text in which `@ID` and `@SECRET` are a key and `@OTHER` and
/// `@MORE` values as long as a secret: each finding as these words.
fn told(text: &str) -> Vec<String> {
    let host = Host::new();
    let [key, other, more] = [(); 3].map(|()| host.key_pair());
    let words = [
        ("@ID", &key.id),
        ("@SECRET", &key.secret),
        ("@OTHER", &other.secret),
        ("@MORE", &more.secret),
    ];
    let fill = |text: String, (word, value): &(&str, &String)| text.replace(word, value);
    let filled = words.iter().fold(text.to_owned(), fill);
    let word = |value: &str| {
        let found = words.iter().find(|(_, known)| *known == value);
        found.map_or("?", |(word, _)| &word[1..]).to_owned()
    };
    let name = |found: &Match| {
        let id = found.access_key_id.map(|id| word(id.as_str()));
        let secret = found.secret.as_ref().and_then(Secret::expose_str).map(word);
        let parts: Vec<String> = id.into_iter().chain(secret).collect();
        parts.join("+")
    };
    let found = Detector::new(4).scan(filled.as_bytes());
    let mut told: Vec<String> = found.matches.iter().map(name).collect();
    told.sort();
    told
}

#[test]
fn an_empty_secret_does_not_take_the_value_of_another_setting() {
    for text in [
        "AWS_ACCESS_KEY_ID=\nAWS_SECRET_ACCESS_KEY=\nAWS_DEFAULT_REGION=us-east-1\nCLOUDFLARE_API_TOKEN=@OTHER\n",
        "AWS_SECRET_ACCESS_KEY=\nMAPBOX=@OTHER\n",
        "export AWS_SECRET_ACCESS_KEY=\"\"\nexport MAPBOX=\"@OTHER\"\n",
        "AWS_SECRET_ACCESS_KEY=''\\nMAPBOX='@OTHER'\\n",
        "aws_secret_access_key =\nmapbox = @OTHER\n",
        "AWS_SECRET_ACCESS_KEY=changeme\0MAPBOX=@OTHER\0",
        "# AWS_SECRET_ACCESS_KEY=\nMAPBOX=@OTHER\n",
        "docker run -e AWS_SECRET_ACCESS_KEY= -e MAPBOX=@OTHER image\n",
        "{\"secretAccessKey\": \"\", \"region\": \"x\", \"mapsKey\": \"@OTHER\"}",
        "{\n  \"aws_secret_access_key\": null,\n  \"mapbox\": \"@OTHER\"\n}\n",
        "{\"aws_secret\": {\"value\": null}, \"maps\": {\"value\": \"@OTHER\"}}",
        "aws: {secretAccessKey: '', region: 'x'}, maps: {site: '@OTHER'}",
        "AWS_SECRET_ACCESS_KEY: ${AWS_SECRET_ACCESS_KEY}\nCONSUMER_KEY: @OTHER\n",
        "environment:\n  - AWS_SECRET_ACCESS_KEY\n  - MAPBOX=@OTHER\n",
        "env:\n- name: AWS_SECRET_ACCESS_KEY\n  valueFrom:\n    secretKeyRef: {name: aws, key: k}\n- name: MAPBOX\n  value: @OTHER\n",
        "{\"name\": \"AWS_SECRET_ACCESS_KEY\", \"value\": \"\"}, {\"name\": \"MAPBOX\", \"value\": \"@OTHER\"}",
        "<add key=\"AWSSecretKey\" value=\"\"/>\n<add key=\"MapsSite\" value=\"@OTHER\"/>\n",
        "<secretAccessKey></secretAccessKey>\n<mapsSite>@OTHER</mapsSite>\n",
        "<name>fs.s3a.secret.key</name><value></value>\n<name>maps</name><value>@OTHER</value>\n",
        "<key>aws_secret_key</key>\n<string></string>\n<key>maps</key>\n<string>@OTHER</string>\n",
        "variable \"aws_secret_key\" {}\nvariable \"maps\" {\n  default = \"@OTHER\"\n}\n",
        "SecretAccessKey: aws.String(\"\"),\nMaps: aws.String(\"@OTHER\"),\n",
        "secretAccessKey: process.env.AWS_SECRET_ACCESS_KEY,\nmaps: '@OTHER',\n",
    ] {
        assert_eq!(told(text), [""; 0], "{text}");
    }
    // It may have a name that is a secret's, too, behind it.
    let text = "AWS_SECRET_ACCESS_KEY=${X}\nBACKUP_AWS_SECRET_ACCESS_KEY=@OTHER\n";
    assert_eq!(told(text), ["OTHER"]);
}

#[test]
fn a_value_that_has_a_word_of_its_own_is_still_that_of_the_name_before_it() {
    for text in [
        "{\"Name\": \"AWS_SECRET_ACCESS_KEY\", \"Type\": \"String\", \"Value\": \"@SECRET\"}",
        "{\"ParameterKey\": \"AwsSecretAccessKey\", \"ParameterValue\": \"@SECRET\"}",
        "{\"title\": \"aws_secret_access_key\", \"password\": \"@SECRET\"}",
        "- name: AWS_SECRET_ACCESS_KEY\n  value: @SECRET\n",
        "<name>fs.s3a.secret.key</name>\n<value>@SECRET</value>\n",
        "<key>aws_secret_key</key>\n<string>@SECRET</string>\n",
        "<td>AWS_SECRET_ACCESS_KEY</td><td class=\"value\">@SECRET</td>\n",
        "<id>aws_secret_access_key</id>\n<description>x</description>\n<secret>@SECRET</secret>\n",
        "variable \"aws_secret_key\" {\n  type = string\n  default = \"@SECRET\"\n}\n",
        "AwsSecretAccessKey:\n  Type: String\n  Default: @SECRET\n",
        "secretAccessKey:\n  prod: @SECRET\n",
        "{\"secretAccessKey\": {\"prod\": \"@SECRET\"}}",
        "'aws_secret' => array('prod' => '@SECRET')",
        "AWS_SECRET_ACCESS_KEY=plain:@SECRET\n",
        "aws_secret_access_key for prod: @SECRET\n",
        "# The AWS secret access key:\nSK=\"@SECRET\"\n",
        "// AWS_SECRET_ACCESS_KEY\nconst sk = '@SECRET';\n",
        "aws_secret = decrypt('k', '@SECRET')\n",
        "const secretAccessKey: string = '@SECRET';\n",
    ] {
        assert_eq!(told(text), ["SECRET"], "{text}");
    }
}

#[test]
fn an_id_that_has_its_secret_does_not_take_what_another_service_is_given() {
    for text in [
        "s3:\n  key: @ID\n  secret: @SECRET\nrecaptcha:\n  key: @OTHER\n  secret: @MORE\n",
        "[s3]\nuser = @ID\npassword = @SECRET\n[cdn]\npassword = @OTHER\n",
        "AWS_SECRET_ACCESS_KEY=@SECRET\nAWS_ACCESS_KEY_ID=@ID\nALGOLIA=@OTHER\n",
        "AWS_ACCESS_KEY_ID=@ID\nAWS_SECRET_ACCESS_KEY=@SECRET\nACME_KEY=@OTHER\nACME_SECRET=@MORE\n",
        "key=@ID\nsalt=@OTHER\nsecret=@SECRET\n",
        "key=@ID\nsite=@OTHER\nsecret=@SECRET\n",
        "new S3('@ID','@SECRET'); new CF('@OTHER')",
        "define('S3_KEY', '@ID');\ndefine('S3_SECRET', '@SECRET');\ndefine('MAPBOX_KEY', '@OTHER');\n",
        "env:\n- name: AWS_KEY\n  value: @ID\n- name: AWS_PASS\n  value: @SECRET\n- name: GITHUB_TOKEN\n  value: @OTHER\n",
        "AWS_ACCESS_KEY_ID=@ID\nAWS_SECRET_ACCESS_KEY=@SECRET\nAWS_REGION=eu-west-1\nNOCAPTCHA_SITEKEY=@OTHER\nNOCAPTCHA_SECRET=@MORE\n",
    ] {
        assert_eq!(told(text), ["ID+SECRET"], "{text}");
    }
    for text in [
        "AWS_ACCESS_KEY_ID=@ID\nCLOUDFLARE_API_TOKEN=@OTHER\n",
        "AWS_ACCESS_KEY_ID=@ID\nAWS_SECRET_ACCESS_KEY=\nCLOUDFLARE_API_TOKEN=@OTHER\n",
        "AWS_ACCESS_KEY_ID=@ID\nDB_PASS=@OTHER\n",
        "{\"AccessKeyId\": \"@ID\", \"SessionId\": \"@OTHER\"}",
        "variable \"key\" {\n  default = \"@ID\"\n}\nvariable \"MAPBOX\" {\n  default = \"@OTHER\"\n}\n",
    ] {
        assert_eq!(told(text), ["ID"], "{text}");
    }
}

#[test]
fn a_secret_is_paired_whatever_it_is_called_and_so_is_one_that_was_replaced() {
    for text in [
        "@ID:@SECRET\n",
        "@ID,@SECRET\n",
        "@ID\n@SECRET\n",
        "machine x login @ID password @SECRET\n",
        "access=@ID\ntoken=@SECRET\n",
        "ak: @ID\nsk: @SECRET\n",
        "AWS_KEY=@ID\nAWS_PASS=@SECRET\n",
        "smtp_user=@ID\nsmtp_password=@SECRET\n",
        "session_key=@ID\nsession_secret=@SECRET\n",
        "AWS_ACCESS_KEY_ID=@ID\nGEHEIM=@SECRET\n",
        "array('access-key-id' => '@ID', 'secret-access-key' => '@SECRET')",
    ] {
        assert_eq!(told(text), ["ID+SECRET"], "{text}");
    }
    for text in [
        "AWS_ACCESS_KEY_ID=@ID\nAWS_SECRET_ACCESS_KEY=@SECRET\n#AWS_SECRET_ACCESS_KEY=@OTHER\n",
        "AWS_ACCESS_KEY_ID=@ID\nAWS_SECRET_ACCESS_KEY=@SECRET\nSECRET_OLD=@OTHER\n",
        "key=@ID\nsecret=@SECRET\n# secret=@OTHER\n",
        "@ID,@SECRET,@OTHER\n",
    ] {
        assert_eq!(told(text), ["ID+OTHER", "ID+SECRET"], "{text}");
    }
}

#[test]
fn what_a_compiler_makes_of_names_is_no_secret() {
    for name in [
        concat!("_ZNK5arrow2fs14S3Proxy", "Options6EqualsERKS1_"),
        concat!("_ZN5arrow2fs9S3Options", "17GetAWSSecretKeyEv1_"),
    ] {
        for before in ["access_key\0get_secret_key", "aws_secret_key"] {
            assert_eq!(
                told(&format!("{before}\0vfprintf\0{name}\0access_key\0")),
                [""; 0]
            );
        }
    }
}

#[test]
fn a_random_secret_that_holds_some_letters_in_order_is_no_placeholder() {
    let KeyPair { id, secret } = Host::new().key_pair();
    let found = |secret: &str| {
        let text = format!("AWS_ACCESS_KEY_ID={id}\nAWS_SECRET_ACCESS_KEY={secret}\n");
        let found = Detector::new(4).scan(text.as_bytes());
        found.matches[0].secret.is_some()
    };
    for part in ["RqPoNm", "abCdef", "qwerTy", "xXXxx", "InSeRt"] {
        let end = 12 + part.len();
        assert!(
            found(&[&secret[..12], part, &secret[end..]].concat()),
            "{part}"
        );
    }
    for [first, middle] in [
        ["abcdefg", ""],
        ["", "rqponmlkj"],
        ["", "123456789"],
        ["", "xxxxxx"],
        ["YourSecret", ""],
        ["", "abcdef/123456"],
    ] {
        let (from, to) = (first.len(), 12.max(first.len()));
        let end = to + middle.len();
        let text = [first, &secret[from..to], middle, &secret[end..]].concat();
        assert!(!found(&text), "{first} {middle}");
    }
}

#[test]
fn a_signature_of_a_web_token_is_no_secret() {
    let host = Host::new();
    let signed = |name: &str, head: &str| {
        let [claims, signature] = [(); 2].map(|()| host.key_pair().secret.replace(['+', '/'], "x"));
        let text = format!("{name}: {head}.eyJ{claims}.aB-{signature}\n");
        Detector::new(4).scan(text.as_bytes()).matches.len()
    };
    assert_eq!(signed("aws_secret", "eyJhbGciOiJIUzI1NiJ9"), 0);
    // Elsewhere a hyphen may be before a secret.
    assert_eq!(signed("aws_secret", "a"), 1);
}
