//! What needs an operator: the sentences that the console, the command line and `doctor` show. They
//! are made here only, from the numbers and the settings.

use super::{
    deployment::age_in_days,
    object::{Array, Object},
    records::{MAX_STUCK, Schema, Stuck},
    summary::{FREE_READ, FREE_WRITTEN, Summary},
};
use crate::{
    service::{
        app::{App, Ports},
        limit::{Limit, Limiter},
        settings::{Environment, Serves},
    },
    time::UnixTime,
};

/// Fifteen minutes, in seconds: three runs of the scheduled event.
const RUN_MISSED_AFTER: u32 = 900;

/// Days. Nobody knows whether a key was copied; a newer one bounds for how long a copy is of use.
const KEY_OLD_AFTER: u64 = 90;

/// With fewer calls in an hour, some failures say nothing about Pi.
const FEW_CALLS: u64 = 20;

/// The command that applies migrations.
const MIGRATE: &str = "npx wrangler d1 migrations apply DB --remote";

/// Something that needs an operator. `urgent` is for what costs users something now.
#[derive(Default)]
struct Need {
    kind: &'static str,
    is_urgent: bool,
    text: String,
    command: Option<&'static str>,
    since: Option<UnixTime>,
    count: Option<u64>,
}

impl Need {
    fn urgent(kind: &'static str, text: impl Into<String>) -> Self {
        Self { is_urgent: true, ..Self::notice(kind, text) }
    }

    fn notice(kind: &'static str, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), ..Self::default() }
    }

    fn json(&self) -> String {
        let mut object = Object::new();
        object
            .text("kind", self.kind)
            .text("level", if self.is_urgent { "urgent" } else { "notice" })
            .text("text", &self.text)
            .maybe("command", self.command)
            .time("since", self.since);
        if let Some(count) = self.count {
            object.number("count", count);
        }
        object.end()
    }
}

/// Everything that needs an operator, as JSON, the urgent first. Without figures, the database
/// lacks a migration.
pub(super) fn all<P: Ports>(
    app: &App<'_, P>,
    schema: &Schema,
    summary: Option<&Summary>,
    now: UnixTime,
) -> String {
    let mut unbound = Vec::new();
    for limit in Limit::ALL {
        if app.settings.rate_limits && !app.limiter.is_bound(limit) {
            unbound.push(limit.binding());
        }
    }
    let is_set = |name: &str| app.settings.secrets().contains(&(name, true));
    let mut missing = Vec::new();
    if app.settings.environment == Environment::Production {
        // Users neither pay nor sign in where operators only are served.
        let is_for_users = app.settings.serves != Serves::Admin;
        missing.extend((!is_set("PI_API_KEY")).then_some((
            if is_for_users {
                "PI_API_KEY is not set, so nobody can pay. Set the Server API Key from Pi's developer portal."
            } else {
                "PI_API_KEY is not set, so no payment can be settled here. Set the Server API Key of the app."
            },
            Some("npx wrangler secret put PI_API_KEY"),
        )));
        missing.extend((is_for_users && app.settings.pi_app_id.is_none()).then_some((
            "PI_APP_ID is not set, so access tokens for any Pi app can sign in. Set it to the app_id of your app.",
            None,
        )));
    }
    let kid = app.settings.keys.active().public().kid();
    let age = age_in_days(app.settings, kid, now);

    let mut needs = Vec::new();
    needs.extend(migrations(schema, summary.is_some()));
    if let Some(summary) = summary {
        of_figures(summary, now, &mut needs);
    }
    for (text, command) in missing {
        needs.push(Need { command, ..Need::urgent("setting_missing", text) });
    }
    if !app.settings.counts {
        let text = "COUNTS is off, so there are no figures, and no warning when Pi fails, a refresh token is used again or the plan of D1 is used up. Set it to on.";
        needs.push(Need::notice("counts_off", text));
    }
    if !unbound.is_empty() {
        let text = format!(
            "These rate limits are not bound and do not apply: {}. Bind them in the wrangler configuration.",
            unbound.join(", ")
        );
        needs.push(Need::notice("limits_missing", text));
    }
    if let Some(days) = age.filter(|days| *days >= KEY_OLD_AFTER) {
        let text = format!("The signing key is {days} days old. Replace it.");
        let command = Some("npx pioneer-session keys rotate --file FILE");
        needs.push(Need { command, ..Need::notice("key_old", text) });
    }
    let mut array = Array::new();
    for is_urgent in [true, false] {
        for need in needs.iter().filter(|need| need.is_urgent == is_urgent) {
            array.push(&need.json());
        }
    }
    array.end()
}

fn migrations(Schema { newest, missing }: &Schema, has_figures: bool) -> Option<Need> {
    let text = match missing.as_slice() {
        [] if has_figures => return None,
        // Somebody has changed the tables by hand.
        [] => format!("The database lacks a table or a column. Compare it with {newest}."),
        names => format!("The database lacks {}. Apply the migrations.", names.join(", ")),
    };
    Some(Need { command: Some(MIGRATE), ..Need::urgent("migration_missing", text) })
}

fn of_figures(summary: &Summary, now: UnixTime, needs: &mut Vec<Need>) {
    let stuck = &summary.figures().stuck;
    for is_given_up in [false, true] {
        needs.extend(payments(stuck, is_given_up));
    }
    needs.extend(contradictory(&summary.figures().contradictory));
    needs.extend(run(summary, now));
    if summary
        .recent
        .iter()
        .any(|hour| hour.pi_calls >= FEW_CALLS && hour.pi_failed.saturating_mul(5) >= hour.pi_calls)
    {
        let [calls, failed] = [
            summary.recent.iter().map(|hour| hour.pi_calls).sum::<u64>(),
            summary.recent.iter().map(|hour| hour.pi_failed).sum(),
        ];
        let text = format!("Pi fails: {failed} of {calls} calls in this hour and the last one.");
        needs.push(Need { count: Some(failed), ..Need::urgent("pi_failing", text) });
    }
    let reused = summary.today.refused_with("refresh_reused");
    if reused > 0 {
        let text = format!(
            "{} used again today, so {} may be stolen. The sessions were revoked; the log names them.",
            counted(reused, "refresh token was", "refresh tokens were"),
            if reused == 1 { "it" } else { "they" },
        );
        needs.push(Need { count: Some(reused), ..Need::urgent("refresh_reused", text) });
    }
    let today = &summary.today;
    for (rows, most, verb) in
        [(today.rows_read, FREE_READ, "read"), (today.rows_written, FREE_WRITTEN, "written")]
    {
        let percent = rows.saturating_mul(100) / most;
        if percent >= 80 {
            let text = format!(
                "{percent} % of the rows that D1's free plan allows were {verb} today (UTC). Beyond 100 %, the database stops until midnight, unless your plan is a paid one."
            );
            needs.push(Need::notice("plan_used", text));
        }
    }
}

/// The payments that are stuck, or those of them that no run checks any more.
fn payments(stuck: &[Stuck], is_given_up: bool) -> Option<Need> {
    let chosen: Vec<&Stuck> =
        stuck.iter().filter(|payment| payment.is_given_up == is_given_up).collect();
    let since = chosen.iter().map(|payment| payment.since).min()?;
    let count = u64::try_from(chosen.len()).unwrap_or(u64::MAX);
    let many = if count > u64::from(MAX_STUCK) { "More than " } else { "" };
    let count = count.min(u64::from(MAX_STUCK));
    let mut text = many.to_owned();
    text.push_str(&counted(count, "payment ", "payments "));
    text.push_str(match (is_given_up, count) {
        (false, 1) => "is stuck, since ",
        (false, _) => "are stuck, the oldest since ",
        (true, 1) => "was given up after weeks and needs you. It began at ",
        (true, _) => "were given up after weeks and need you. The oldest began at ",
    });
    text.push_str(&since.to_rfc3339());
    let problems = chosen.iter().filter_map(|payment| payment.problem.as_deref());
    let often = |code: &str| {
        chosen.iter().filter(|payment| payment.problem.as_deref() == Some(code)).count()
    };
    if let Some(code) = problems.max_by_key(|code| (often(code), *code)) {
        text.push_str(". The most frequent problem is ");
        text.push_str(code);
    }
    text.push('.');
    let kind = if is_given_up { "payments_given_up" } else { "payments_stuck" };
    Some(Need { since: Some(since), count: Some(count), ..Need::urgent(kind, text) })
}

/// The payments that Pi has cancelled although it has verified their transactions.
fn contradictory(cancelled: &[UnixTime]) -> Option<Need> {
    let since = *cancelled.first()?;
    let count = u64::try_from(cancelled.len()).unwrap_or(u64::MAX);
    let text = format!(
        "{} cancelled at Pi although the user had paid; the last transaction was found at {}. Look for it in Pi's block explorer and repay the user. This notice stays for 30 days.",
        counted(count, "payment was", "payments were"),
        since.to_rfc3339()
    );
    Some(Need {
        since: Some(since),
        count: Some(count),
        ..Need::urgent("payments_contradictory", text)
    })
}

fn run(summary: &Summary, now: UnixTime) -> Option<Need> {
    let Some(mark) = summary.mark("run") else {
        let text = "The scheduled event has never run. Check that [triggers] is in the wrangler configuration.";
        return Some(Need::urgent("run_missing", text));
    };
    if mark.at < now.minus(RUN_MISSED_AFTER) {
        let text = format!(
            "The scheduled event last ran {} minutes ago. Check that [triggers] is in the wrangler configuration.",
            now.since(mark.at) / 60
        );
        return Some(Need { since: Some(mark.at), ..Need::urgent("run_missing", text) });
    }
    // The outcome of a run that failed has a code, and no numbers.
    let code = mark.value.strip_prefix(r#"{"code":""#)?.strip_suffix(r#""}"#)?;
    let text = format!(
        "The last run of the scheduled event failed at {}: {code}. The log has the reason.",
        mark.at.to_rfc3339()
    );
    Some(Need { since: Some(mark.at), ..Need::urgent("run_failed", text) })
}

/// A number with its noun.
fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
