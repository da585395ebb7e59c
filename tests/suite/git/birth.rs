//! Whether what git stores came with the image.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::repository::{Key, Place};
use crate::support::imds_double::{IDENTITY, ImdsDouble};
use crate::support::rolecall::Rolecall;

#[test]
fn a_key_in_git_came_with_the_image_or_with_its_repository() {
    let place = Place::new();
    let keys = [(); 5].map(|()| Key::new());
    let [loose, packed, fetched, deployed, bundled] = &keys;
    let baked = place.init("baked", &[]);
    baked.commit("packed.ini", &packed.text());
    baked.git(&["gc", "--quiet"]);
    baked.commit("loose.ini", &loose.text());
    // An instance knows the second in which it was started.
    std::thread::sleep(Duration::from_millis(1100));
    let started = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
    baked.commit("fetched.ini", &fetched.text());
    let later = place.init("later", &[]);
    later.commit("deployed.ini", &deployed.text());
    let made = place.init("made", &[]);
    made.commit("bundled.ini", &bundled.text());
    made.git(&["bundle", "create", "--quiet", "../made.bundle", "--all"]);
    std::fs::remove_dir_all(&made.path).expect("removed");

    let document = serde_json::json!({
        "accountId": "609629065308",
        "instanceId": "i-0123456789abcdef0",
        "pendingTime": started.to_string(),
        "region": "eu-central-1",
    });
    let imds = ImdsDouble::builder().item(IDENTITY, document.to_string());
    let imds = imds.start();
    let ran = Rolecall::new(["check", "--format", "json", "--ship", "never", "--root"])
        .arg(place.path(""))
        .arg("--imds-endpoint")
        .arg(imds.endpoint())
        .run();
    let told = ran.of_type("finding");
    let of = |key: &Key| {
        let is_of = |one: &&Value| {
            one["access_key_id"] == key.id.as_str() && one["location"]["source"] == "git"
        };
        let told = told
            .iter()
            .find(is_of)
            .unwrap_or_else(|| panic!("{}", ran.stdout));
        assert!(told["file"]["born"].is_string(), "{told}");
        told["file"]["baked_into_image"].as_bool()
    };
    assert_eq!(of(loose), Some(true));
    assert_eq!(of(packed), Some(true));
    // Fetched by the instance, or packed anew by it: nobody can tell.
    assert_eq!(of(fetched), None);
    assert_eq!(of(deployed), Some(false));
    assert_eq!(of(bundled), Some(false));
}
