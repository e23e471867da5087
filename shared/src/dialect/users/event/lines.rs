//! Events as lines of an export, in CSV and as JSON Lines.

use domain::Event;
use domain::id::TenantId;
use domain::job::Format;
use serde_json::json;

use super::{ShownCheckpoint, ShownEvent};
use crate::dialect::users::lines::row;
use crate::gate::exports::events::RecordLine;

const COLUMNS: [&str; 14] = [
    "id",
    "at",
    "subject_kind",
    "subject_id",
    "version",
    "action",
    "actor_kind",
    "actor_id",
    "actor_reason",
    "impersonator_id",
    "approver_id",
    "request_id",
    "changes",
    "previous",
];

/// Writes a line of an export. JSON Lines have what it takes to check them elsewhere; CSV has no checkpoint.
pub fn record_line(format: Format, tenant: TenantId, line: &RecordLine) -> String {
    match (format, line) {
        (Format::Jsonl, RecordLine::Event(event)) => json!(ShownEvent::new(event, tenant, true)).to_string() + "\n",
        (Format::Jsonl, RecordLine::Checkpoint(checkpoint)) => {
            json!(ShownCheckpoint::new(checkpoint)).to_string() + "\n"
        }
        (Format::Csv, RecordLine::Names) => row(&COLUMNS.map(str::to_owned)),
        (Format::Csv, RecordLine::Event(event)) => row(&cells(event, tenant)),
        (Format::Jsonl, RecordLine::Names) | (Format::Csv, RecordLine::Checkpoint(_)) => String::new(),
    }
}

/// In the order of [`COLUMNS`].
fn cells(event: &Event, tenant: TenantId) -> [String; 14] {
    let shown = ShownEvent::new(event, tenant, false);
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    [
        shown.id,
        shown.at.to_string(),
        shown.subject.kind.to_owned(),
        shown.subject.id,
        shown.version.to_string(),
        shown.action.to_owned(),
        shown.actor.kind.to_owned(),
        shown.actor.id.unwrap_or_default(),
        text(shown.actor.reason),
        shown.actor.impersonator_id.unwrap_or_default(),
        shown.actor.approver_id.unwrap_or_default(),
        shown.request_id.to_owned(),
        json!(shown.changes).to_string(),
        text(shown.previous),
    ]
}
