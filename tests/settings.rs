//! The Worker accepts and refuses the same values of its settings as `doctor` does: both run the
//! cases in tests/settings.json.

use std::collections::BTreeMap;

use pioneer_session::service::Settings;
use serde::Deserialize;

#[derive(Deserialize)]
struct Cases {
    base: BTreeMap<String, String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    setting: String,
    value: String,
    #[serde(default)]
    with: BTreeMap<String, String>,
    accepted: bool,
}

#[test]
fn every_setting_is_read_as_the_shared_cases_say() {
    let Cases { base, cases } = serde_json::from_str(include_str!("settings.json")).unwrap();
    let mut wrong = Vec::new();
    for Case { setting, value, with, accepted } in cases {
        let mut settings = base.clone();
        settings.extend(with);
        settings.insert(setting.clone(), value.clone());
        let result = Settings::read(|name| Ok(settings.get(name).cloned()));
        // A refusal must be about this setting, not about another part of the case.
        let is_right = match result {
            Ok(_) => accepted,
            Err(error) => !accepted && error.setting == setting,
        };
        if !is_right {
            wrong.push(format!("{setting}={value:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
