use futures_util::future::join_all;
use serde_json::json;
use shared::dialect::users::{self, Answers, Batch, Change, MAX_ANSWER, MAX_BATCH, MAX_RECORDED, MAX_TOGETHER, USERS};
use shared::gate::{Conditions, Idempotency, IfMatch};
use shared::log::{self, Level};
use shared::{Answer, App, Call, Caller, Problem, Reads};

/// The changes of a batch, each with the versions for which it is meant.
type Changes = Vec<(Option<IfMatch>, Result<Change, Problem>)>;

/// `POST /v1/users/batch`: makes up to 100 changes of users.
///
/// Each is decided, made and answered as by the call that makes only this one, and shows the user as a list does. A change that is
/// refused stops no other. The status is 200, whatever becomes of them. With `atomic`, up to 40 changes are made all or none: if one is
/// refused, the answer is the answer to it, and `details.change` is its place. They must fit into one transaction, and each must concern
/// another user.
///
/// The same batch again under the same `Idempotency-Key` makes only those changes that were not made, also if the first one was
/// interrupted.
///
/// Needs for each change what the call needs that makes only this one.
async fn change_users(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (body, conditions) = (call.body(MAX_BATCH)?, call.conditions()?);
    let batch = users::in_tenant(call, &caller, body, Batch::read)?;
    let (is_atomic, changes) = (batch.is_atomic(), batch.changes(&caller));
    match is_atomic {
        _ if conditions.if_match.is_some() => Err(Problem::NothingToMatch("batch")),
        true if changes.len() > MAX_TOGETHER => {
            Err(Problem::LimitReached("changes that are made all or none", MAX_TOGETHER))
        }
        true => all_or_none(app, call, &caller, changes, &conditions).await,
        false => one_by_one(app, call, &caller, changes, conditions.idempotency.as_ref()).await,
    }
}

async fn all_or_none(
    app: &App,
    call: &Call,
    caller: &Caller,
    changes: Changes,
    conditions: &Conditions,
) -> Result<Answer, Problem> {
    let idempotency = conditions.idempotency.as_ref();
    let mut reads = Reads::none().pictures(false).repeated(idempotency, changes.len());
    let mut sound = Vec::new();
    for (place, (if_match, change)) in changes.into_iter().enumerate() {
        let change = change.map_err(|why| Problem::OfChange(place, Box::new(why)))?;
        reads = reads.and(change.reads());
        sound.push((if_match, change));
    }
    app.change(call, caller, reads, conditions, &|plan| {
        plan.facts().are_of(idempotency)?;
        let planned = sound.iter().enumerate();
        let planned =
            planned.map(|(place, (tags, change))| plan.one_of(place, tags.as_ref(), |plan| change.plan(plan, true)));
        let answers = Answers::new(planned.flatten().collect(), MAX_RECORDED);
        Ok(Answer::json(200, &json!(answers)).into())
    })
    .await
}

async fn one_by_one(
    app: &App,
    call: &Call,
    caller: &Caller,
    changes: Changes,
    idempotency: Option<&Idempotency>,
) -> Result<Answer, Problem> {
    // A caller who is refused in each change is refused as a whole. So is a key that belongs to another batch.
    let reads = Reads::none().unshown().repeated(idempotency, changes.len());
    app.read(call, caller, reads, &|reading| {
        reading.facts().are_of(idempotency)?;
        Ok(Answer::empty(204))
    })
    .await?;
    let lanes = Change::lanes(changes.iter().map(|(_, change)| change.as_ref().ok()));
    let lane = async |places: &Vec<usize>| {
        let mut answers = Vec::new();
        for place in places {
            let (if_match, change) = &changes[*place];
            let idempotency = idempotency.map(|asked| asked.of_change(*place));
            let conditions = Conditions { if_match: if_match.clone(), idempotency };
            answers.push((*place, alone(app, call, caller, change, &conditions).await));
        }
        answers
    };
    let mut answers = join_all(lanes.iter().map(lane)).await.concat();
    answers.sort_by_key(|(place, _)| *place);
    let answers = Answers::new(answers.into_iter().map(|(_, answer)| answer).collect(), MAX_ANSWER);
    Ok(Answer::json(200, &json!(answers)))
}

/// The answer to a change that is made on its own.
async fn alone(
    app: &App,
    call: &Call,
    caller: &Caller,
    change: &Result<Change, Problem>,
    conditions: &Conditions,
) -> Answer {
    let change = match change {
        Ok(change) => change,
        Err(why) => return USERS.problem(why),
    };
    let plan = |plan: &mut shared::Plan| Ok(change.plan(plan, true)?.into());
    let made = app.change(call, caller, change.reads().pictures(false), conditions, &plan).await;
    made.unwrap_or_else(|why| {
        if why.cause().is_some() {
            let entry = || json!({ "request_id": call.request_id, "outcome": why.code(), "cause": why.cause() });
            log::line(Level::Error, "a change of a batch has failed", &entry);
        }
        USERS.problem(&why)
    })
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, |app, call| Box::pin(change_users(app, call)))
}

#[test]
fn description() {
    use openapi::{Operation, uuid_in_header};
    Operation::new(&USERS)
        .header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
        .body(Batch::read)
        .up_to(MAX_BATCH)
        .limited()
        .named()
        .batch::<Answers>()
        .describe();
}
