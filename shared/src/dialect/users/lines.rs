//! Users as lines: of imports and of exports, in CSV and as JSON Lines.

mod cells;
mod without;

use std::borrow::Cow;

use domain::id::TenantId;
use domain::job::{Format, Line, OnExisting};
use domain::problem::{Fault, Step, Wrong};
use domain::{MemberEdit, Problem, Role};
use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::UserCreation;
use crate::gate::View;
use crate::http::call::Call;
use crate::http::json::{Faulty, Object, Wire};

use cells::{BETWEEN, can_be_one_of_several, unguarded};

pub(super) use cells::row;
pub use without::without;

/// The most bytes of a part of an import: an item of the table has room for it. And the most lines.
pub const MAX_PART: usize = 256 * 1024;
pub const MAX_LINES_OF_PART: usize = 2_000;

/// The content types of a part.
const TYPES: [&str; 3] = ["text/csv", "application/x-ndjson", "application/jsonl"];
const TAKEN: &str = "`text/csv`, `application/x-ndjson` or `application/jsonl`";

/// The columns of an import. Those of an export that say nothing for an import are passed over.
const COLUMNS: [&str; 11] = [
    "email",
    "name",
    "first_name",
    "last_name",
    "roles",
    "status",
    "groups",
    "label",
    "language",
    "external_id",
    "metadata",
];
const PASSED_OVER: [&str; 4] = ["id", "created_at", "updated_at", "version"];
const A_COLUMN: &str = "one of email, name, first_name, last_name, roles, status, groups, label, language, external_id, \
                        metadata, metadata.KEY, each only once";

/// A new import.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "UserImport"))]
pub struct NewImport {
    /// What becomes of a line whose address is that of a member: it fails if you do not say. `update` changes the member as
    /// `PATCH /v1/users/{id}` does.
    on_existing: Option<OnExisting>,
    /// Whether the job only says what would happen. It judges each line as if it were the only one.
    dry_run: Option<bool>,
}

impl Wire for OnExisting {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let wrong = || vec![Fault::here(Wrong::NotOneOf("skip, update, fail"))];
        serde_json::from_value(value).map_err(|_| wrong())
    }
}

impl Wire for Format {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        serde_json::from_value(value).map_err(|_| vec![Fault::here(Wrong::NotOneOf("csv, jsonl"))])
    }
}

impl NewImport {
    /// # Errors
    /// The faults of the object.
    pub fn read(body: &mut Object) -> Result<Self, Faulty> {
        Ok(Self { on_existing: body.optional("on_existing"), dry_run: body.optional("dry_run") })
    }

    pub fn on_existing(&self) -> OnExisting {
        self.on_existing.unwrap_or(OnExisting::Fail)
    }

    pub fn is_dry(&self) -> bool {
        self.dry_run == Some(true)
    }
}

/// A part of an import, which is sent as it is.
pub struct SentPart<'a> {
    pub format: Format,
    pub text: &'a str,
    /// How many lines it has.
    pub lines: usize,
}

impl<'a> SentPart<'a> {
    /// # Errors
    /// [`Problem::PayloadTooLarge`], [`Problem::UnsupportedMediaType`]; [`Problem::Invalid`]: these are no lines.
    pub fn of(call: &'a Call) -> Result<Self, Problem> {
        let content = call.content(MAX_PART, &TYPES, TAKEN)?;
        let format = if call.is_of_type(TYPES[0]) { Format::Csv } else { Format::Jsonl };
        let fault = |fault: Fault| Problem::from(vec![fault.within("body")]);
        let text = std::str::from_utf8(content).map_err(|_| fault(Fault::here(Wrong::Syntax("text in UTF-8"))))?;
        let lines = lines(format, text).map_err(fault)?.len();
        match lines {
            0 => Err(fault(Fault::here(Wrong::Empty))),
            1..=MAX_LINES_OF_PART => Ok(Self { format, text, lines }),
            _ => Err(Problem::LimitReached("lines of a part", MAX_LINES_OF_PART)),
        }
    }
}

/// The edits that lines ask for, each with an address, or what is wrong with a line.
pub fn edits(format: Format, text: &str, tenant: TenantId) -> Vec<Result<MemberEdit, Problem>> {
    let edit = |line: Result<Value, Fault>| {
        let line = line.map_err(|fault| vec![fault.within("body")])?;
        Ok(Object::of_event(&line)?.all(UserCreation::read)?.plain_edit(tenant))
    };
    // The lines were read once before, when the part was taken.
    lines(format, text).unwrap_or_default().into_iter().map(edit).collect()
}

/// A line as the body of `POST /v1/users`, or what is wrong with it.
type Lines = Vec<Result<Value, Fault>>;

/// # Errors
/// The text is not of that form.
fn lines(format: Format, text: &str) -> Result<Lines, Fault> {
    let text = without_mark(text);
    match format {
        Format::Jsonl => {
            let lines = text.lines().filter(|line| !line.trim().is_empty());
            let read = |line: &str| crate::http::json::read_strict(line.as_bytes());
            let value = |line| read(line).ok_or_else(|| Fault::here(Wrong::Syntax("JSON without a repeated key")));
            Ok(lines.map(value).collect())
        }
        Format::Csv => rows(text),
    }
}

/// A text without the mark of its encoding, which some programs write before it.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

fn rows(text: &str) -> Result<Lines, Fault> {
    let broken = |line: u64| {
        let place = Step::Name(format!("line {line}").into());
        Fault::here(Wrong::Syntax("CSV with as many cells as the line of names")).within(place)
    };
    let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
    let names: Vec<String> = reader.headers().map_err(|_| broken(0))?.iter().map(column).collect();
    for (place, name) in names.iter().enumerate() {
        let is_known = COLUMNS.contains(&name.as_str())
            || PASSED_OVER.contains(&name.as_str())
            || name.strip_prefix("metadata.").is_some_and(|key| !key.is_empty());
        if !is_known || names[..place].contains(name) {
            return Err(Fault::here(Wrong::Syntax(A_COLUMN)).within(Step::Name(name.clone().into())));
        }
    }
    let row = |row: csv::Result<csv::StringRecord>| {
        // As the job counts lines: that of the names is none.
        let row = row.map_err(|why| broken(why.position().map_or(0, csv::Position::record)))?;
        Ok(object(names.iter().map(String::as_str).zip(row.iter().map(unguarded))))
    };
    reader.records().map(row).collect()
}

/// The name of a column, without regard to case. A key of metadata keeps it.
fn column(name: &str) -> String {
    match name.trim().split_once('.') {
        Some((before, key)) => format!("{}.{key}", before.to_lowercase()),
        None => name.trim().to_lowercase(),
    }
}

/// The object of a row. An empty cell gives nothing.
fn object<'a>(cells: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Value, Fault> {
    let mut object = Map::new();
    let mut metadata = Map::new();
    for (name, cell) in cells.filter(|(name, cell)| !cell.trim().is_empty() && !PASSED_OVER.contains(name)) {
        let several = || cell.split(BETWEEN).map(str::trim).filter(|it| !it.is_empty());
        let value = match name {
            "roles" => several().collect(),
            "groups" => several().map(|id| json!({ "id": id })).collect(),
            "metadata" => match crate::http::json::read_strict(cell.as_bytes()) {
                Some(Value::Object(members)) => {
                    metadata.extend(members);
                    continue;
                }
                _ => return Err(Fault::here(Wrong::Type("a JSON object")).within("metadata")),
            },
            name => match name.strip_prefix("metadata.") {
                Some(key) => {
                    metadata.insert(key.to_owned(), cell.into());
                    continue;
                }
                None => Value::from(cell),
            },
        };
        object.insert(name.to_owned(), value);
    }
    if !metadata.is_empty() {
        object.insert("metadata".to_owned(), metadata.into());
    }
    Ok(object.into())
}

/// The wish for an export.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "UserExport"))]
pub struct NewExport {
    /// `csv` if you do not say.
    format: Option<Format>,
}

impl NewExport {
    /// # Errors
    /// The faults of the object.
    pub fn read(body: &mut Object) -> Result<Self, Faulty> {
        Ok(Self { format: body.optional("format") })
    }

    pub fn format(&self) -> Format {
        self.format.unwrap_or(Format::Csv)
    }
}

/// A user in an export, in the form of an import.
#[derive(Serialize)]
struct ExportedUser<'a> {
    id: Uuid,
    email: &'a str,
    first_name: Option<&'a str>,
    last_name: Option<&'a str>,
    roles: Vec<Cow<'a, str>>,
    status: &'static str,
    groups: Vec<ExportedGroup>,
    label: Option<Uuid>,
    language: Option<&'a str>,
    external_id: Option<&'a str>,
    metadata: &'a domain::Metadata,
    created_at: domain::Time,
    updated_at: domain::Time,
    version: u64,
}

#[derive(Serialize)]
struct ExportedGroup {
    id: Uuid,
    is_admin: bool,
    is_primary: bool,
}

impl<'a> ExportedUser<'a> {
    fn new(view: &View<'a>, format: Format) -> Self {
        let View { tenant, member, catalog, .. } = *view;
        // A cell would show some names as several roles, or as a formula.
        let spelled = |role: &'a Role| -> Cow<'a, str> {
            match format == Format::Jsonl || can_be_one_of_several(&role.name) {
                true => role.name.as_str().into(),
                false => role.id.uuid_in(tenant.id).to_string().into(),
            }
        };
        let group = |(id, _): (domain::id::GroupId, &str)| ExportedGroup {
            id: id.uuid_in(tenant.id),
            is_admin: member.manages.contains(&id),
            is_primary: member.primary_group == Some(id),
        };
        Self {
            id: member.user.uuid(),
            email: &member.email,
            first_name: member.first_name.as_deref().map(str::trim_end),
            last_name: member.last_name.as_deref(),
            roles: catalog.roles(&member.roles).map(spelled).collect(),
            status: member.status.as_str(),
            groups: view.groups().map(group).collect(),
            label: member.profession.map(|id| id.uuid_in(tenant.id)),
            language: member.language.as_deref(),
            external_id: member.external_id.as_deref(),
            metadata: &member.metadata,
            created_at: member.meta.created_at,
            updated_at: member.meta.updated_at,
            version: member.meta.version,
        }
    }

    /// In the order of [`EXPORTED`].
    fn cells(&self) -> [String; 14] {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        [
            self.id.to_string(),
            self.email.to_owned(),
            text(self.first_name),
            text(self.last_name),
            self.roles.join(BETWEEN),
            self.status.to_owned(),
            self.groups.iter().map(|group| group.id.to_string()).collect::<Vec<_>>().join(BETWEEN),
            self.label.map(|label| label.to_string()).unwrap_or_default(),
            text(self.language),
            text(self.external_id),
            if self.metadata.is_empty() { String::new() } else { json!(self.metadata).to_string() },
            self.created_at.to_string(),
            self.updated_at.to_string(),
            self.version.to_string(),
        ]
    }
}

const EXPORTED: [&str; 14] = [
    "id",
    "email",
    "first_name",
    "last_name",
    "roles",
    "status",
    "groups",
    "label",
    "language",
    "external_id",
    "metadata",
    "created_at",
    "updated_at",
    "version",
];

/// Writes a user as a line. Without a user, it writes the names of the columns, if the format has any.
pub fn line(format: Format, view: Option<&View>) -> String {
    match (format, view) {
        (Format::Jsonl, None) => String::new(),
        (Format::Jsonl, Some(view)) => json!(ExportedUser::new(view, format)).to_string() + "\n",
        (Format::Csv, None) => row(&EXPORTED.map(str::to_owned)),
        (Format::Csv, Some(view)) => row(&ExportedUser::new(view, format).cells()),
    }
}

/// What became of some lines of an import.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "ImportedLines"))]
pub struct ImportedLines<'a> {
    /// In the order of the parts of the import, and of the lines in them.
    pub data: &'a [Line],
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Result<Value, Fault>> {
        lines(Format::Csv, text).unwrap()
    }

    #[test]
    fn a_row_is_the_body_of_a_single_call() {
        let text = "\u{feff}Email, NAME ,roles,groups,metadata.Plan,metadata,id\r\n\
                    ann@x.example,\"Lee, Ann\",user; auditor,726f6c65-6361-8005-8000-000080000001,gold,\"{\"\"a\"\":\"\"b\"\"}\",7\n\
                    ben@x.example,,,,,,\n\
                    ,,,,,\"[1]\",\n";
        let rows = read(text);
        assert_eq!(
            rows[0].as_ref().unwrap(),
            &json!({
                "email": "ann@x.example", "name": "Lee, Ann", "roles": ["user", "auditor"],
                "groups": [{ "id": "726f6c65-6361-8005-8000-000080000001" }], "metadata": { "Plan": "gold", "a": "b" },
            })
        );
        assert_eq!(rows[1].as_ref().unwrap(), &json!({ "email": "ben@x.example" }));
        assert_eq!(rows[2].as_ref().unwrap_err().place, ["metadata".into()]);
    }

    #[test]
    fn what_is_no_table_is_refused_with_its_line_or_column() {
        let place = |text: &str| {
            let fault = lines(Format::Csv, text).unwrap_err();
            domain::problem::dotted(&fault.within("body").place)
        };
        assert_eq!(place("email\r\nann@x.example\r\nben@x.example,2\r\n"), "line 2");
        for (text, column) in [("email,phone\n", "phone"), ("email,Email\n", "email"), ("metadata.\n", "metadata.")] {
            assert_eq!(place(text), column);
        }
        assert!(lines(Format::Csv, "").unwrap().is_empty());
        let lines = lines(Format::Jsonl, "{\"email\":\"a@b.c\"}\n\n{\"a\":1,\"a\":2}\nnone\n").unwrap();
        assert_eq!(lines.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false]);
    }

    #[test]
    fn what_programs_for_tables_add_is_taken_away() {
        let text = "email,first_name,roles\n'+1@x.example,'=cmd,'=a;user\n'tis@x.example,'tis,\n";
        let rows: Vec<Value> = read(text).into_iter().map(Result::unwrap).collect();
        let first = json!({ "email": "+1@x.example", "first_name": "=cmd", "roles": ["=a", "user"] });
        assert_eq!(rows, [first, json!({ "email": "'tis@x.example", "first_name": "'tis" })]);
        let marked = lines(Format::Jsonl, "\u{feff}{\"email\":\"a@b.c\"}\n").unwrap();
        assert_eq!(marked, [Ok(json!({ "email": "a@b.c" }))]);
    }
}
