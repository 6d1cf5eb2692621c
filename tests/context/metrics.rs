//! `Context::metrics()`: the application's own metrics.

use axum::Router;
use axum::routing::post;
use daybook::prometheus::IntCounter;
use daybook::testing::Server;
use daybook::{App, BoxError, Context};

#[test]
fn an_applications_metric_has_the_prefix_app_and_the_label_of_its_replica() {
    fn routes(context: &Context) -> Result<Router, BoxError> {
        let notes = IntCounter::new("notes_total", "Notes that were added.")?;
        context.metrics().register(Box::new(notes.clone()))?;
        Ok(Router::new().route("/notes", post(async move || notes.inc())))
    }
    let server = Server::with(App::new("test", routes), &[("replica", "7")]);
    assert_eq!(server.post("/notes", "").status(), 200);
    let metrics = server.metrics();
    let line = r#"app_notes_total{replica="7"} 1"#;
    assert!(metrics.lines().any(|found| found == line), "{metrics}");
    assert!(metrics.contains("daybook_ready"), "{metrics}");
}
