//! Operations that give tokens.

use domain::Problem;
use domain::problem::Grant;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::json;
use shared::dialect::oauth::{
    Acceptance, Approval, Impersonation, Introspection, JoinWish, Revoked, ShownApproval, ShownToken, ShownWish,
    TokenForm, Tokens,
};
use shared::json::{Faulty, Object};

use crate::problems::{Scope, problems, scope_of};
use crate::words::header;
use crate::{JSON, Operation};

pub const FORM: &str = "application/x-www-form-urlencoded";

impl Operation {
    /// The answer to a success holds a secret, which is shown once: nobody may keep the answer.
    pub fn once(mut self) -> Self {
        self.problems_of(Scope::Secrets);
        self.component("headers", "cache-control", header("cache-control"));
        for status in ["200", "201"] {
            if let Some(response) = self.object["responses"].get_mut(status) {
                response["headers"]["cache-control"] = json!({ "$ref": "#/components/headers/cache-control" });
            }
        }
        self
    }

    /// A request for tokens. A function takes a form and JSON with the same members. The reference names one of them, because
    /// generators stumble over two.
    pub fn tokens(self, media_type: &'static str) -> Self {
        self.form::<TokenForm>(media_type).signed_in()
    }

    /// A request that accepts an invitation.
    pub fn acceptance(self) -> Self {
        self.form::<Acceptance>(JSON).signed_in()
    }

    fn signed_in(mut self) -> Self {
        let schema = self.schema::<Tokens>(SchemaSettings::draft2020_12().for_serialize());
        let headers = ["x-request-id", "cache-control", "pragma", "policy-notices", "set-cookie"];
        self.response(200, "A session, and its tokens", Some((JSON, schema)), &headers);
        self.without_credential(|grant| grant != Grant::AtOnce)
    }

    /// A request that ends the session of a token.
    pub fn revocation(mut self) -> Self {
        self = self.form::<ShownToken>(FORM);
        let schema = self.schema::<Revoked>(SchemaSettings::draft2020_12().for_serialize());
        let headers = ["x-request-id", "cache-control"];
        self.response(200, "The token is good no more, if it ever was", Some((JSON, schema)), &headers);
        self.without_credential(|grant| grant != Grant::AtOnce)
    }

    /// A question about a token, with a credential.
    pub fn introspection(mut self) -> Self {
        self = self.form::<ShownToken>(FORM);
        let schema = self.schema::<Introspection>(SchemaSettings::draft2020_12().for_serialize());
        let headers = ["x-request-id", "cache-control"];
        self.response(200, "Whether the token is good, and what for", Some((JSON, schema)), &headers);
        self.object["security"] = json!([{ "bearer": [] }]);
        let is_possible = |problem: &Problem| match scope_of(problem) {
            Scope::Bodies => true,
            // The token that is shown names no thing, and it may be of another tenant.
            Scope::Any => !matches!(problem, Problem::TenantMismatch | Problem::NotFound(_)),
            _ => false,
        };
        self.problems(&shared::dialect::OAUTH, problems().into_iter().filter(is_possible));
        self
    }

    /// A request to act as another member, with a credential.
    pub fn impersonation(mut self, read: impl Fn(&mut Object) -> Result<Impersonation, Faulty>) -> Self {
        self = self.body(read);
        let schema = self.schema::<Tokens>(SchemaSettings::draft2020_12().for_serialize());
        let headers = ["x-request-id", "cache-control", "pragma", "policy-notices"];
        self.response(200, "A session of the member, and its tokens", Some((JSON, schema)), &headers);
        self.object["security"] = json!([{ "bearer": [] }]);
        for scope in [Scope::Any, Scope::Limited, Scope::New, Scope::Secrets] {
            self.problems_of(scope);
        }
        self
    }

    /// A request to approve a change, with a credential.
    pub fn approval(mut self, read: impl Fn(&mut Object) -> Result<Approval, Faulty>) -> Self {
        let schema = self.body_schema(read);
        self = self.taking(&schema);
        let schema = self.schema::<ShownApproval>(SchemaSettings::draft2020_12().for_serialize());
        let headers = ["x-request-id", "cache-control", "policy-notices"];
        self.response(200, "Approved", Some((JSON, schema)), &headers);
        self.object["security"] = json!([{ "bearer": [] }]);
        self.problems_of(Scope::Any);
        self
    }

    /// A request to join, by a token of an identity provider.
    pub fn join_wish(mut self, read: impl Fn(&mut Object) -> Result<JoinWish, Faulty>) -> Self {
        let schema = self.body_schema(read);
        self = self.taking(&schema);
        let schema = self.schema::<ShownWish>(SchemaSettings::draft2020_12().for_serialize());
        let headers = ["x-request-id", "cache-control"];
        self.response(202, "The request waits for an answer of the tenant", Some((JSON, schema)), &headers);
        self.without_credential(|grant| matches!(grant, Grant::InvalidToken | Grant::Denied | Grant::AtOnce))
    }

    fn form<T: JsonSchema>(mut self, media_type: &'static str) -> Self {
        let schema = self.schema::<T>(SchemaSettings::draft2020_12().for_deserialize());
        self.object["requestBody"] = json!({
            "description": "Up to 64 KiB, not compressed.",
            "required": true,
            "content": { media_type: { "schema": schema } },
        });
        self
    }

    /// The problems of a request that shows no credential in its header. Of the refusals of tokens, it has some.
    fn without_credential(mut self, has: fn(Grant) -> bool) -> Self {
        let Some(dialect) = self.dialect else { return self };
        // Nobody shows a credential of ours, and no path names a thing.
        let is_possible = |problem: &Problem| match scope_of(problem) {
            Scope::Tokens => matches!(problem, Problem::Grant(grant, _) if has(*grant)),
            Scope::Bodies => true,
            Scope::Any => {
                !matches!(problem, Problem::TenantMismatch | Problem::NotFound(_) | Problem::Unauthenticated(_))
            }
            _ => false,
        };
        self.problems(dialect, problems().into_iter().filter(is_possible));
        self
    }

    /// The end of sessions: the answer says nothing.
    pub fn ended(mut self) -> Self {
        let headers = ["x-request-id", "policy-notices", "idempotent-replayed", "set-cookie"];
        self.response(204, "Ended", None, &headers);
        self
    }

    /// A public document, which may be kept for a while.
    pub fn document<T: JsonSchema>(mut self) -> Self {
        let schema = self.schema::<T>(SchemaSettings::draft2020_12().for_serialize());
        self.response(200, "Found", Some((JSON, schema)), &["x-request-id", "cache-control"]);
        self.problems(
            &shared::dialect::OAUTH,
            problems().into_iter().filter(|problem| {
                matches!(problem, Problem::TooManyRequests(_) | Problem::Unavailable(_) | Problem::Internal(_))
            }),
        );
        self
    }
}
