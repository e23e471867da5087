//! Parameters that several operations have: of paths, of lists and of writes.

use domain::meta::MAX_NAME;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, json_schema};
use shared::Paging;
use shared::call::{MAX_CURSOR, MAX_IDEMPOTENCY_KEY, MAX_LIMIT};
use shared::credential::MAX_TOKEN;
use shared::dialect::members;
use shared::dialect::users::{NAMED_SORTS, STATUSES};
use shared::json::{MAX_ADDRESS, MAX_SAFE_INTEGER, Text};
use shared::list::MAX_COUNTED;

use super::problems::Scope;
use super::{JSON, Operation, schema_of};

/// The description of a parameter for the beginning of a name or an address.
pub const BEGINNING: &str = "Only those whose name or address begins with this text, without regard to case; in names \
    without regard to accents, too. By name, those whose name matches come first; by address, those whose address matches.";

/// The description of an order of members, where it speaks of names.
pub const LAGGING: &str = "Names come from an index, which can lag behind a change by some milliseconds; so do the matches \
    of a beginning in them.";

impl Operation {
    /// A write: its conditions, and the problems that only writes have.
    pub fn write(mut self) -> Self {
        self.writes = true;
        self.problems_of(Scope::Writes);
        let tag = r#"(W/)?"[\t !#-~]*""#;
        let tags = format!(r"^{tag}([\t ]*,[\t ]*{tag})*$");
        let tags =
            json_schema!({ "anyOf": [{ "type": "string", "enum": ["*"] }, { "type": "string", "pattern": tags }] });
        let key = json_schema!({
            "type": "string", "minLength": 1, "maxLength": MAX_IDEMPOTENCY_KEY, "pattern": "^[!-~]+$",
        });
        self.parameter(
            "header",
            "If-Match",
            false,
            "The versions of the record for which the request is meant: the `etag` of an earlier answer. For any other the \
             answer is 412.",
            tags,
        )
        .parameter(
            "header",
            "Idempotency-Key",
            false,
            "The same request again under the same key within 24 hours gets the first answer again, and nothing is done \
             twice.",
            key,
        )
        .parameter(
            "header",
            "X-Approval",
            false,
            "The approval of another member, from `POST /v1/approvals`, for a policy of the tenant that asks for two people.",
            json_schema!({ "type": "string", "minLength": 1, "maxLength": MAX_TOKEN, "pattern": "^[!-~]+$" }),
        )
    }

    /// The tenant and the version in the paths of the dialect `directory`.
    pub fn directory(self) -> Self {
        let slug = json_schema!({ "type": "string", "pattern": "^[a-z0-9-]{2,63}$" });
        let version = json_schema!({ "type": "string", "enum": ["v1", "v1.0"] });
        self.path("tenant", "The tenant's slug: the credential's.", slug).path(
            "version",
            "The version of the API.",
            version,
        )
    }

    /// The filters and the order of a list of members that [`members::wanted`] reads.
    pub fn members(self, group: &str, schema_of_group: Schema) -> Self {
        let default = "`name` if it is not given, but `id` with `role` or `group`.";
        let order = format!("The order, descending with a `-`. {default} {LAGGING}");
        self.query("role", "Only those who hold this role: its UUID, number or name.", schema_of::<Text<MAX_NAME>>())
            .query("group", group, schema_of_group)
            .query("status", "Only those with this status.", one_of(STATUSES))
            .query(
                "email",
                "Only the member with this address, without regard to case.",
                schema_of::<Text<MAX_ADDRESS>>(),
            )
            .query("q", BEGINNING, schema_of::<Text<MAX_NAME>>())
            .query("sort", &order, one_of(members::SORTS))
    }

    /// The parameters of a list that comes in pages.
    pub fn pages(mut self) -> Self {
        let paging = self.dialect.map_or(Paging::IN_SNAKE_CASE, |dialect| dialect.paging);
        let limit = json_schema!({ "type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": paging.default });
        self = self.query(paging.limit, "How many a page has at most. It can have less.", limit);
        if paging.has_numbers {
            let counted = format!(
                "The number of the page, from 1; not beside `cursor`. Such a page is whole, and costs all pages before \
                 it. It must be found among {MAX_COUNTED} members, those included whom the filters leave out: `cursor` \
                 leads further."
            );
            self =
                self.query("page", &counted, json_schema!({ "type": "integer", "minimum": 1, "maximum": MAX_COUNTED }));
        }
        let next = paging.cursor.split('`').nth(1).expect("it names the member of the answer");
        let same = format!("The `{next}` of the page before. All other parameters must be those of that page.");
        self.query("cursor", &same, schema_of::<Text<MAX_CURSOR>>())
    }

    /// The answer to a success is a page of a list.
    pub fn page<T: JsonSchema>(mut self) -> Self {
        self = self.pages();
        let schema = self.schema::<T>(SchemaSettings::draft2020_12().for_serialize());
        self.response(200, "A page", Some((JSON, schema)), &["x-request-id", "policy-notices"]);
        self
    }
}

/// The schema of the order of groups or labels.
pub fn named_order() -> Schema {
    one_of(NAMED_SORTS)
}

/// The schema of one of these texts, with commas between them.
pub fn one_of(texts: &str) -> Schema {
    json_schema!({ "type": "string", "enum": texts.split(", ").collect::<Vec<_>>() })
}

/// The schema of a user in a path of the dialect `membership`: a number, or `me` for the caller.
pub fn number_or_me() -> Schema {
    let number = json_schema!({ "type": "integer", "minimum": -MAX_SAFE_INTEGER, "maximum": MAX_SAFE_INTEGER });
    json_schema!({ "anyOf": [number, { "type": "string", "enum": ["me"] }] })
}

/// The schema of an id as the dialect `directory` has it.
pub fn int32() -> Schema {
    json_schema!({ "type": "integer", "format": "int32", "minimum": 1, "maximum": i32::MAX })
}

/// The schema of a user in a path: a UUID, or `me` for the caller.
pub fn user_or_me() -> Schema {
    uuid_or("me")
}

/// The schema of a UUID in a path, or a word in its place.
pub fn uuid_or(word: &str) -> Schema {
    json_schema!({ "anyOf": [schema_of::<shared::id::Uuid>(), { "type": "string", "enum": [word] }] })
}
