//! `GET /admin/overview`: the numbers of today and of a range, and everything that needs an
//! operator. Nothing is counted for it: it adds up stored numbers, so it reads as many rows for a
//! large app as for a small one.

use http::{Request, Response};

use super::{
    deployment::VERSION,
    list::Query,
    needs,
    object::Object,
    operator::Admitted,
    records::Records as _,
    summary::{Range, Summary, period},
};
use crate::{
    jwt::Role,
    service::{
        answer,
        app::{App, Ports},
        counts,
        error::Error,
        settings::Settings,
    },
};

/// 200 with the overview. If the database lacks a migration, it has no figures, and says so. With
/// `COUNTS` off, it has none either: their zeros would say that nothing has happened.
///
/// 1. Reads the range: 400.
/// 2. Asks which migrations are missing: 503 `storage_unavailable`.
/// 3. Writes the numbers that this process has counted, so that a small app, which has one process,
///    misses none. Reads the numbers.
pub(in crate::service) async fn show<P: Ports>(
    app: &App<'_, P>,
    Admitted { operator, .. }: &Admitted<'_>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    // (1)
    let range = Range::read(&Query::of(request.uri()))?;
    // (2)
    let schema = app.store.schema().await?;
    // (3)
    counts::write_all(app).await;
    let now = app.now();
    let period = period(&range, now);
    let figures = match app.store.figures(&period).await {
        Ok(figures) => Some(figures),
        Err(error) if error.lacks_migration() => None,
        Err(error) => return Err(error.into()),
    };
    let mut object = Object::new();
    object.time("at", now).raw("service", &service(app.settings)).raw(
        "operator",
        &Object::new()
            .text("name", operator.name.as_str())
            .raw("role", if operator.role == Role::Owner { r#""owner""# } else { r#""viewer""# })
            .end(),
    );
    let summary = figures.map(|figures| Summary::new(figures, &range, &period, now));
    let needs = needs::all(app, &schema, summary.as_ref(), now);
    object.raw("needs", &needs);
    if let Some(summary) = &summary {
        summary.write_run(&mut object);
        if app.settings.counts {
            summary.write(&mut object, &range, &period, now);
        }
    }
    Ok(answer::json_text(object.end().into_bytes()))
}

fn service(settings: &Settings) -> String {
    let mut object = Object::new();
    object
        .text("issuer", &settings.policy.issuer)
        .text("audience", &settings.policy.audience)
        .text("version", VERSION)
        .text("network", &settings.pi_network)
        .text("environment", settings.environment.name())
        .flag("counts", settings.counts)
        .end()
}
