//! `/openapi.json`. `e2e/test_openapi.py` sends the requests that it allows, and those that it does not.

use super::records::{get, insert_many};
use crate::common::server::Server;
use serde_json::{Value, json};

#[test]
fn the_description_is_openapi_3_1_and_every_reference_in_it_leads_somewhere() {
    let server = Server::start();
    let document = get(&server, "/openapi.json");
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let paths: Vec<&String> = document["paths"]
        .as_object()
        .expect("paths")
        .keys()
        .collect();
    assert_eq!(
        paths,
        [
            "/api/requests",
            "/api/requests/{id}",
            "/api/state",
            "/api/stats"
        ]
    );
    for path in paths {
        let responses = &document["paths"][path]["get"]["responses"];
        let good = &responses["200"]["content"];
        assert!(good["application/json"]["schema"].is_object(), "{path}");
        for status in ["400", "503"] {
            let schema = &responses[status]["content"]["application/problem+json"]["schema"];
            assert_eq!(schema["$ref"], "#/components/schemas/Problem", "{path}");
        }
    }
    let one = &document["paths"]["/api/requests/{id}"]["get"];
    let id = json!([{
        "name": "id",
        "in": "path",
        "required": true,
        "description": "The value of the response's header record-id.",
        "schema": {"type": "integer"},
    }]);
    assert_eq!(one["parameters"], id);
    assert!(one["responses"]["404"].is_object());
    let mut references = Vec::new();
    collect_references(&document, &mut references);
    assert!(references.len() > 10, "{references:?}");
    for reference in references {
        let pointer = reference.strip_prefix('#').expect("a local reference");
        assert!(
            document.pointer(pointer).is_some(),
            "{reference} leads nowhere"
        );
    }
}

fn collect_references<'a>(value: &'a Value, references: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            references.extend(fields.get("$ref").and_then(Value::as_str));
            fields
                .values()
                .for_each(|value| collect_references(value, references));
        }
        Value::Array(values) => values
            .iter()
            .for_each(|value| collect_references(value, references)),
        _ => (),
    }
}

#[test]
fn every_described_parameter_is_accepted() {
    let server = Server::start();
    insert_many(&server.db(), 1, 1_728_000_000.0);
    let document = get(&server, "/openapi.json");
    for (path, expected) in [("/api/requests", 9), ("/api/stats", 9)] {
        let parameters = document["paths"][path]["get"]["parameters"]
            .as_array()
            .expect("parameters");
        assert_eq!(parameters.len(), expected, "{path}");
        for parameter in parameters {
            let name = parameter["name"].as_str().expect("a name");
            let value = match name {
                "since" | "until" => "10m",
                "method" => "GET",
                "path_prefix" | "q" => "/",
                "status" => "5xx",
                "remote_addr" => "10.0.0.0/8",
                "bucket" => "5m",
                _ => "5",
            };
            get(&server, &format!("{path}?{name}={value}"));
        }
    }
}
