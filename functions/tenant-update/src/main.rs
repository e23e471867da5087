use serde_json::{Value, json};
use shared::call::MAX_BODY;
use shared::dialect::users::{self, Tenant, USERS};
use shared::domain::meta::{MAX_EXTERNAL_ID, MAX_NAME};
use shared::domain::tenant::change::SettingsEdit;
use shared::domain::tenant::{Acceptance, Inviters, MAX_DOMAINS, MAX_SEATS, RETENTION_DAYS, SESSION_SECONDS};
use shared::domain::{Patch, TenantEdit};
use shared::json::{Domain, Faulty, MetadataPatch, Object, Text, Wire, Within};
use shared::problem::{Fault, Wrong};
use shared::{Answer, App, Boxed, Call, Problem, Reads};

/// The fields to change. Those that are not given stay.
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "TenantPatch"))]
struct Body {
    name: Option<Text<MAX_NAME>>,
    /// Texts of your own, by your own keys. A key that is not given stays; `null` removes one.
    metadata: Option<MetadataPatch>,
    /// The tenant's id in another system.
    external_id: Patch<Text<MAX_EXTERNAL_ID>>,
    settings: Option<Settings>,
}

#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "TenantSettingsPatch"))]
struct Settings {
    /// The domains of the addresses that members may have, up to 100. Without any, members may have any address. Members who are
    /// there stay.
    #[cfg_attr(test, schemars(length(max = MAX_DOMAINS)))]
    allowed_domains: Option<Vec<Domain>>,
    /// Who may invite, of those who have the permission: all of them, members of rank 2 or higher, or owners. Only an owner may
    /// change it.
    inviters: Option<Who>,
    /// Which people may accept an invitation with its secret: everybody (`link`), or only a person whose identity provider has verified
    /// the address (`address`). Only an owner may change it.
    acceptance: Option<Accepting>,
    /// The most members who take a seat: an invited member does, a deactivated one does not. Members who are there stay. A limit is
    /// in force once they are counted; `null` removes it. Only an owner may change it.
    seats: Patch<Within<1, MAX_SEATS>>,
    /// How old a token may be, in seconds: an older one is refused, although it has not expired. `null` removes the limit. Only an
    /// owner may change it.
    session_seconds: Patch<Within<{ SESSION_SECONDS[0] }, { SESSION_SECONDS[1] }>>,
    /// Whether members may act as others, of those who have the permission. Only an owner may change it.
    impersonation: Option<bool>,
    /// For how many days events are kept. Older ones are removed for good, within a day or two. `null` keeps all of them. Only an
    /// owner may change it.
    retention_days: Patch<Within<{ RETENTION_DAYS[0] }, { RETENTION_DAYS[1] }>>,
    /// Whether a look at the record is on record, too: who has asked for what. Only an owner may change it.
    record_reads: Option<bool>,
}

#[cfg_attr(test, derive(schemars::JsonSchema), schemars(with = "Inviters"))]
struct Who(Inviters);

impl Wire for Who {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let named = Inviters::ALL.into_iter().find(|it| value.as_str() == Some(it.as_str()));
        named.map(Self).ok_or_else(|| vec![Fault::here(Wrong::NotOneOf("permitted, admins, owners"))])
    }
}

#[cfg_attr(test, derive(schemars::JsonSchema), schemars(with = "Acceptance"))]
struct Accepting(Acceptance);

impl Wire for Accepting {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let named = Acceptance::ALL.into_iter().find(|it| value.as_str() == Some(it.as_str()));
        named.map(Self).ok_or_else(|| vec![Fault::here(Wrong::NotOneOf("link, address"))])
    }
}

impl Wire for Settings {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        Object::read(value)?.all(|object| {
            let allowed_domains = object.optional::<Vec<Domain>>("allowed_domains");
            if allowed_domains.as_ref().is_some_and(|domains| domains.len() > MAX_DOMAINS) {
                object.refuse(Fault::here(Wrong::TooLong(MAX_DOMAINS)).within("allowed_domains"));
            }
            let (seats, session_seconds) = (object.clearable("seats"), object.clearable("session_seconds"));
            let (retention_days, record_reads) = (object.clearable("retention_days"), object.optional("record_reads"));
            let (inviters, acceptance) = (object.optional("inviters"), object.optional("acceptance"));
            let impersonation = object.optional("impersonation");
            Ok(Self {
                allowed_domains,
                inviters,
                acceptance,
                seats,
                session_seconds,
                impersonation,
                retention_days,
                record_reads,
            })
        })
    }
}

impl Settings {
    fn edit(self) -> SettingsEdit {
        SettingsEdit {
            allowed_domains: self.allowed_domains.map(|domains| domains.into_iter().map(|it| it.0).collect()),
            inviters: self.inviters.map(|who| who.0),
            acceptance: self.acceptance.map(|who| who.0),
            seats: self.seats.map(|seats| seats.0),
            session_seconds: self.session_seconds.map(|seconds| seconds.0),
            impersonation: self.impersonation,
            retention_days: self.retention_days.map(|days| days.0),
            record_reads: self.record_reads,
        }
    }
}

impl Body {
    fn read(body: &mut Object) -> Result<Self, Faulty> {
        Ok(Self {
            name: body.optional("name"),
            metadata: body.optional("metadata"),
            external_id: body.clearable("external_id"),
            settings: body.optional("settings"),
        })
    }

    fn edit(self) -> TenantEdit {
        TenantEdit {
            name: self.name.map(|name| name.0),
            metadata: self.metadata.unwrap_or_default().0,
            external_id: self.external_id.map(|id| id.0),
            settings: self.settings.map(Settings::edit).unwrap_or_default(),
            ..TenantEdit::default()
        }
    }
}

/// `PATCH /v1/tenant`: changes the tenant of the credential. While a job counts the seats, `location` says where it is.
///
/// Needs `tenant:update`, and for `impersonation`, `inviters`, `acceptance`, `seats`, `session_seconds`, `retention_days` and
/// `record_reads` the role `owner`.
async fn update_tenant(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (body, conditions) = (call.body(MAX_BODY)?, call.conditions()?);
    let edit = users::in_tenant(call, &caller, body, Body::read)?.edit();
    app.change(call, &caller, Reads::none(), &conditions, &|plan| {
        let tenant = plan.update_tenant(&edit)?;
        let shown = Tenant::new(&tenant);
        let answer = Answer::json(200, &json!(shown)).with_etag(shown.version);
        let counting = tenant.seats.filter(|seats| !seats.are_all_counted());
        Ok(match counting.map(|seats| seats.job.uuid_in(tenant.id)) {
            Some(job) => answer.with_header("location", format!("/v1/jobs/{job}")),
            None => answer,
        }
        .into())
    })
    .await
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    Box::pin(update_tenant(app, call))
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, answer)
}

#[test]
fn description() {
    use openapi::{Operation, uuid_in_header};
    Operation::new(&USERS)
        .header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
        .body(Body::read)
        .limited()
        .answer::<Tenant>()
        .counted()
        .describe();
}
