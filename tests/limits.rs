//! Each limit has the same default in the source, the configurations and the documents.

use pioneer_session::service::Limit;

/// The table in the source has the reason. The configurations, docs/settings.md and `doctor` have
/// the same limit.
#[test]
fn a1_every_limit_is_bound_with_the_default_that_its_table_explains() {
    let root = env!("CARGO_MANIFEST_DIR");
    let read = |path: &str| std::fs::read_to_string(format!("{root}/{path}")).unwrap();
    let (table, settings) = (read("src/service/limit.rs"), read("docs/settings.md"));
    let configuration = read("wrangler.toml");
    let example = read("examples/worker/wrangler.jsonc");
    let doctor = read("pkg/cli/configuration.mjs");
    for (position, limit) in Limit::ALL.into_iter().enumerate() {
        assert_eq!(position, limit as usize);
        let name = limit.binding();
        let row = table.lines().find_map(|line| {
            line.strip_prefix("/// ").filter(|row| row.starts_with(&format!("| `{name}` |")))
        });
        let row = row.unwrap_or_else(|| panic!("{name} is not in the table"));
        assert!(settings.contains(row), "docs/settings.md lacks the row: {row}");
        let rate = row.split('|').nth(4).unwrap().trim();
        let is_bound = configuration.split("[[ratelimits]]").any(|block| {
            block.contains(&format!("name = \"{name}\""))
                && block.contains(&format!("limit = {rate}, period = 60"))
        });
        assert!(is_bound, "{name} is not bound with {rate} a minute");
        let is_in_example = example.lines().any(|line| {
            line.contains(&format!("\"name\": \"{name}\""))
                && line.contains(&format!("\"limit\": {rate}, \"period\": 60"))
        });
        assert!(is_in_example, "the example does not bind {name} with {rate} a minute");
        assert!(doctor.contains(&format!("\"{name}\"")), "doctor does not ask for {name}");
    }
}
