//! Changes as they go out: CloudEvents 1.0, in their JSON form. What they say of a change is what the record says of it.

use domain::Event;
use serde_json::{Value, json};

use super::users::{ShownEvent, shown_subject};
use crate::gate::events::action_of;

/// The media type of one CloudEvent.
pub const MEDIA_TYPE: &str = "application/cloudevents+json";

/// The type of a change: `rolecall.member.updated`.
pub fn kind(event: &Event) -> String {
    format!("rolecall.{}.{}", event.subject.kind, action_of(event))
}

/// The CloudEvent of a change. Its id is that of the record, so it is the same in each delivery. `sequence` is the version of the
/// subject: the changes of one come in that order.
pub fn of(event: &Event, kind: &str) -> Value {
    json!({
        "specversion": "1.0",
        "id": event.hash(),
        "source": format!("/tenants/{}", event.tenant.uuid()),
        "type": kind,
        "subject": shown_subject(&event.subject, event.tenant),
        "time": event.at,
        "sequence": format!("{:010}", event.version),
        "datacontenttype": "application/json",
        "data": ShownEvent::new(event, event.tenant, false),
    })
}
