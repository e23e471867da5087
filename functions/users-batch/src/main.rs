use std::collections::HashMap;

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
/// If a change could not be tried to the end (429, 500 or 503), the later ones of the same user are not tried, and get the same answer.
///
/// The same batch again under the same `Idempotency-Key` makes only those changes that were not tried to the end, also if the first one was
/// interrupted. One that was made gets its first answer again, and so does a refused one before further changes of the same user.
///
/// Each change needs the same as its single call.
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
        // The users with a change that a repetition can still make, each with the answer to it.
        let mut open: HashMap<String, Answer> = HashMap::new();
        for (at, place) in places.iter().enumerate() {
            let (if_match, change) = &changes[*place];
            let change = match change {
                Ok(change) => change,
                Err(why) => {
                    answers.push((*place, USERS.problem(why)));
                    continue;
                }
            };
            let of = change.of();
            // It would overtake that change.
            if let Some(answer) = of.as_ref().and_then(|of| open.get(of)) {
                answers.push((*place, answer.clone()));
                continue;
            }
            let is_same = |later: &usize| changes[*later].1.as_ref().is_ok_and(|later| later.of() == of);
            let is_followed = of.is_some() && places[at + 1..].iter().any(is_same);
            let idempotency = idempotency.map(|asked| asked.of_change(*place));
            let conditions = Conditions { if_match: if_match.clone(), idempotency };
            let made = alone(app, call, caller, (change, is_followed), &conditions).await;
            let answer = made.unwrap_or_else(|why| {
                let answer = failed(call, &why);
                open.extend(of.map(|of| (of, answer.clone())));
                answer
            });
            answers.push((*place, answer));
        }
        answers
    };
    let mut answers = join_all(lanes.iter().map(lane)).await.concat();
    answers.sort_by_key(|(place, _)| *place);
    let answers = Answers::new(answers.into_iter().map(|(_, answer)| answer).collect(), MAX_ANSWER);
    Ok(Answer::json(200, &json!(answers)))
}

/// Makes a change on its own, or refuses it. If later changes of the same user follow and the batch can be repeated, a refusal goes on
/// record: else the repetition would make the change after those.
///
/// # Errors
/// The change has no final answer: a repetition can still make it.
async fn alone(
    app: &App,
    call: &Call,
    caller: &Caller,
    (change, is_followed): (&Change, bool),
    conditions: &Conditions,
) -> Result<Answer, Problem> {
    let plan = |plan: &mut shared::Plan| Ok(change.plan(plan, true)?.into());
    let refusal = match app.change(call, caller, change.reads().pictures(false), conditions, &plan).await {
        Err(why) if why.cause().is_none() && why.retry_after().is_none() => USERS.problem(&why),
        made => return made,
    };
    let conditions = Conditions { if_match: None, idempotency: conditions.idempotency.clone() };
    if !is_followed || conditions.idempotency.is_none() {
        return Ok(refusal);
    }
    let plan = |plan: &mut shared::Plan| Ok(plan.refused_for_good(refusal.clone()));
    app.change(call, caller, Reads::none().unshown(), &conditions, &plan).await
}

/// The answer to a change that has no final answer.
fn failed(call: &Call, why: &Problem) -> Answer {
    if why.cause().is_some() {
        let entry = || json!({ "request_id": call.request_id, "outcome": why.code(), "cause": why.cause() });
        log::line(Level::Error, "a change of a batch has failed", &entry);
    }
    USERS.problem(why)
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
