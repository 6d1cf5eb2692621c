//! `GET /openapi.json`: the read API in OpenAPI 3.1. Its schemas are the types of the responses, and its parameters the tables
//! that the requests are read with.

use std::sync::LazyLock;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::path::{
    OperationBuilder, Parameter as OpenApiParameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::schema::{ArrayBuilder, ComponentsBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{
    Components, ContentBuilder, HttpMethod, InfoBuilder, OpenApiBuilder, PathItem, PathsBuilder,
    Ref, RefOr, Required, ResponseBuilder,
};
use utoipa::{PartialSchema, ToSchema};

use super::problem::Problem;
use super::records::RequestPage;
use super::state::ReplicaState;
use crate::query::{Filter, ListQuery, Parameter, Stats, StatsQuery};
use crate::store::StoredRecord;

static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let document = OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("daybook: the read API")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some("The recorded requests, for the operator. It is on the admin listener, which is never public."))
                .build(),
        )
        .paths(
            PathsBuilder::new()
                // OpenAPI cannot say that `after` excludes `before`, so it describes one of them.
                .path("/api/requests", item("listRequests", "Recorded requests, newest first", RequestPage::name(), ListQuery::PARAMETERS.iter().filter(|parameter| parameter.name != "after").chain(&Filter::PARAMETERS).map(query_parameter).collect()))
                .path("/api/requests/{id}", one_request())
                .path("/api/stats", item("getStats", "Figures over time", Stats::name(), StatsQuery::PARAMETERS.iter().chain(&Filter::PARAMETERS).map(query_parameter).collect()))
                .path("/api/state", item("getState", "How this replica is", ReplicaState::name(), Vec::new()))
                .build(),
        )
        .components(Some(components()))
        .build();
    document.to_json().unwrap_or_default()
});

pub(super) async fn get() -> Response {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT.as_str()).into_response()
}

fn components() -> Components {
    let mut schemas = Vec::new();
    add::<RequestPage>(&mut schemas);
    add::<StoredRecord>(&mut schemas);
    add::<Stats>(&mut schemas);
    add::<ReplicaState>(&mut schemas);
    add::<Problem>(&mut schemas);
    ComponentsBuilder::new().schemas_from_iter(schemas).build()
}

/// Adds a type and those that it consists of.
fn add<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((T::name().into_owned(), <T as PartialSchema>::schema()));
    T::schemas(schemas);
}

fn item(
    id: &str,
    summary: &str,
    response: impl AsRef<str>,
    parameters: Vec<OpenApiParameter>,
) -> PathItem {
    let operation = operation(id, summary, response.as_ref())
        .parameters(Some(parameters))
        .build();
    PathItem::new(HttpMethod::Get, operation)
}

fn one_request() -> PathItem {
    let id = ParameterBuilder::new()
        .name("id")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some("The value of the response's header record-id."))
        .schema(Some(ObjectBuilder::new().schema_type(Type::Integer)))
        .build();
    let operation = operation("getRequest", "One recorded request", &StoredRecord::name())
        .parameter(id)
        .response("404", problem("No request has this id"))
        .build();
    PathItem::new(HttpMethod::Get, operation)
}

fn operation(id: &str, summary: &str, response: &str) -> OperationBuilder {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(response)))
        .build();
    OperationBuilder::new()
        .operation_id(Some(id))
        .summary(Some(summary))
        .response(
            "200",
            ResponseBuilder::new()
                .description(summary)
                .content("application/json", content),
        )
        .response("400", problem("A parameter is wrong or unknown"))
        .response("503", problem("The records cannot be read now"))
}

fn problem(description: &str) -> ResponseBuilder {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(Problem::name())))
        .build();
    ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", content)
}

fn query_parameter(parameter: &Parameter) -> OpenApiParameter {
    let text = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(parameter.pattern);
    let schema: Schema = match parameter.is_repeatable {
        true => ArrayBuilder::new().items(text).build().into(),
        false => text.build().into(),
    };
    ParameterBuilder::new()
        .name(parameter.name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(parameter.help))
        .schema(Some(schema))
        .build()
}
