use serde_json::json;
use shared::call::MAX_BODY;
use shared::dialect::users::{self, Tenant, USERS};
use shared::domain::TenantEdit;
use shared::domain::meta::{MAX_EXTERNAL_ID, MAX_NAME};
use shared::json::{Faulty, MetadataPatch, Object, Slug, Text};
use shared::{Answer, App, Call, Problem, Reads};

#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "TenantCreation"))]
struct Body {
    /// 2 to 63 of `a-z0-9-`, at least one a letter, and no UUID. Unique, and never changed.
    slug: Slug,
    name: Text<MAX_NAME>,
    /// Texts of your own, by your own keys.
    metadata: Option<MetadataPatch>,
    /// The tenant's id in another system.
    external_id: Option<Text<MAX_EXTERNAL_ID>>,
}

impl Body {
    fn read(body: &mut Object) -> Result<Self, Faulty> {
        let (slug, name) = (body.required("slug"), body.required("name"));
        let (metadata, external_id) = (body.optional("metadata"), body.optional("external_id"));
        Ok(Self { slug: slug?, name: name?, metadata, external_id })
    }
}

/// `POST /v1/tenants`: makes a tenant, of which the caller is the owner. They sign in to it as to any other.
///
/// The deployment says who may: anybody who is signed in, or only its operator (parameter `TenantCreation`).
async fn create_tenant(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (body, conditions) = (call.body(MAX_BODY)?, call.conditions()?);
    let Body { slug: Slug(slug), name, metadata, external_id } = users::in_tenant(call, &caller, body, Body::read)?;
    app.may_make_tenants()?;
    let edit = TenantEdit {
        name: Some(name.0),
        metadata: metadata.unwrap_or_default().0,
        external_id: external_id.map(|id| id.0).into(),
        ..TenantEdit::default()
    };
    app.change(call, &caller, Reads::new_tenant((caller.user()?, caller.session()), &slug), &conditions, &|plan| {
        let tenant = plan.found(&slug, &edit)?;
        let shown = Tenant::new(&tenant);
        let answer = Answer::json(201, &json!(shown)).with_etag(shown.version);
        Ok(answer.with_header("location", "/v1/tenant").into())
    })
    .await
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, |app, call| Box::pin(create_tenant(app, call)))
}

#[test]
fn description() {
    use openapi::{Operation, uuid_in_header};
    Operation::new(&USERS)
        .header("X-Tenant-ID", "The UUID of the credential's tenant, not of the new one.", uuid_in_header())
        .body(Body::read)
        .created::<Tenant>()
        .describe();
}
