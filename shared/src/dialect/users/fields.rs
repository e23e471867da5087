//! The fields of a user that a client can set.

use std::collections::BTreeSet;

use domain::id::{Spelled, TenantId, Uuid};
use domain::member::change::{Fields, Groups, InGroup, MAX_GROUPS, MAX_ROLES, Roles};
use domain::meta::{MAX_EXTERNAL_ID, MAX_NAME};
use domain::problem::{Fault, Wrong};
use domain::{Language, MemberEdit, Patch, Status};
use serde_json::Value;

use crate::http::json::{MetadataPatch, Object, Text, TextOrEmpty, Wire};

/// The fields of a user that a client can set, each optional, beside the address.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct UserFields {
    /// A full name: what stands behind its last space is the last name.
    name: Option<Text<MAX_NAME>>,
    /// Not beside `name`. Empty clears it, like `null`.
    first_name: Patch<TextOrEmpty<MAX_NAME>>,
    /// Not beside `name`. Empty clears it, like `null`.
    last_name: Patch<TextOrEmpty<MAX_NAME>>,
    /// 1 to 50 names or UUIDs of roles, none twice: all that the user has.
    #[cfg_attr(feature = "openapi", schemars(length(min = 1, max = MAX_ROLES), extend("uniqueItems" = true)))]
    roles: Option<Vec<Text<MAX_NAME>>>,
    status: Option<UserStatus>,
    /// All groups that the user is in, none twice.
    #[cfg_attr(feature = "openapi", schemars(length(max = MAX_GROUPS)))]
    groups: Option<Vec<UserGroup>>,
    /// The UUID of a label: the profession.
    label: Patch<Uuid>,
    language: Patch<LanguageCode>,
    /// Texts of your own, by your own keys. A key that is not given stays; `null` removes one.
    metadata: Option<MetadataPatch>,
    /// The user's id in another system; unique in the tenant.
    external_id: Patch<Text<MAX_EXTERNAL_ID>>,
}

/// A status as it is sent.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(with = "Status"))]
pub struct UserStatus(pub Status);

/// The names of the statuses.
pub const STATUSES: &str = "invited, active, deactivated";

impl UserStatus {
    pub fn named(text: &str) -> Option<Self> {
        let all = [Status::Invited, Status::Active, Status::Deactivated];
        all.into_iter().find(|status| status.as_str() == text).map(Self)
    }
}

impl Wire for UserStatus {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let status = value.as_str().and_then(Self::named);
        status.ok_or_else(|| vec![Fault::here(Wrong::NotOneOf(STATUSES))])
    }
}

/// A language as it is sent: an ISO 639-1 code that members can choose.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
struct LanguageCode(#[cfg_attr(feature = "openapi", schemars(extend("enum" = Language::codes())))] String);

impl Wire for LanguageCode {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let language = value.as_str().and_then(Language::by_code);
        let language = language.map(|language| Self(language.code.to_owned()));
        language.ok_or_else(|| vec![Fault::here(Wrong::NotOneOf("the languages that members can choose"))])
    }
}

/// A group that the user is in.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "UserGroupUpdate"))]
struct UserGroup {
    /// The UUID of a group.
    id: Uuid,
    /// Whether the user manages the group. It stays if it is not given.
    is_admin: Option<bool>,
    /// Whether it is the user's primary group; one at most is. It stays if it is not given.
    is_primary: Option<bool>,
}

impl Wire for UserGroup {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        Object::read(value)?.all(|object| {
            let id = object.required("id");
            let (is_admin, is_primary) = (object.optional("is_admin"), object.optional("is_primary"));
            Ok(Self { id: id?, is_admin, is_primary })
        })
    }
}

impl UserFields {
    /// Reads the fields. What is wrong with them is kept in the object.
    pub fn read(body: &mut Object) -> Self {
        let read = Self {
            name: body.optional("name"),
            first_name: body.clearable("first_name"),
            last_name: body.clearable("last_name"),
            roles: body.optional("roles"),
            status: body.optional("status"),
            groups: body.optional("groups"),
            label: body.clearable("label"),
            language: body.clearable("language"),
            metadata: body.optional("metadata"),
            external_id: body.clearable("external_id"),
        };
        if read.name.is_some() && !(read.first_name.is_keep() && read.last_name.is_keep()) {
            let alone = Wrong::Syntax("left out beside `first_name` or `last_name`");
            body.refuse(Fault::here(alone).within("name"));
        }
        if read.roles.as_ref().is_some_and(|roles| roles.len() > MAX_ROLES) {
            body.refuse(Fault::here(Wrong::TooLong(MAX_ROLES)).within("roles"));
        }
        let groups = read.groups.as_deref().unwrap_or_default();
        let mut ids = BTreeSet::new();
        for (index, group) in groups.iter().enumerate() {
            if !ids.insert(group.id) {
                let repeated = Wrong::Syntax("a group that is listed only once");
                body.refuse(Fault::here(repeated).within("id").within(index).within("groups"));
            }
        }
        if groups.iter().filter(|group| group.is_primary == Some(true)).count() > 1 {
            body.refuse(Fault::here(Wrong::Syntax("groups of which one at most is primary")).within("groups"));
        }
        if groups.len() > MAX_GROUPS {
            body.refuse(Fault::here(Wrong::TooLong(MAX_GROUPS)).within("groups"));
        }
        read
    }

    /// The edit that sets the fields.
    pub fn edit(self, tenant: TenantId) -> MemberEdit {
        let in_group = |group: UserGroup| InGroup {
            group: Spelled::uuid(group.id, tenant),
            manages: group.is_admin,
            is_primary: group.is_primary,
        };
        let mut edit = MemberEdit {
            first_name: self.first_name.map(|name| name.0).flatten(),
            last_name: self.last_name.map(|name| name.0).flatten(),
            roles: self.roles.map(|roles| Roles::Exactly(roles.into_iter().map(|role| role.0).collect())),
            status: self.status.map(|status| status.0),
            groups: self.groups.map(|groups| Groups::Flagged(groups.into_iter().map(in_group).collect())),
            profession: self.label.map(|label| Spelled::uuid(label, tenant)),
            language: self.language.map(|language| language.0),
            metadata: self.metadata.unwrap_or_default().0,
            external_id: self.external_id.map(|id| id.0),
            fields: Fields { roles: "roles", groups: "groups", profession: "label", ..Fields::default() },
            ..MemberEdit::default()
        };
        if let Some(name) = self.name {
            edit.set_name(&name.0);
        }
        edit
    }
}
