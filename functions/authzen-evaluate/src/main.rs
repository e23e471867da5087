use serde::Serialize;
use serde_json::json;
use shared::call::MAX_BODY;
use shared::dialect::authzen::search::{ActionSearch, FoundAction, FoundSubject, SearchAnswer, SubjectSearch};
use shared::dialect::authzen::{
    AUTHZEN, Asked, Batch, Evaluated, EvaluatedAll, EvaluatedMany, Evaluation, Evaluations, Semantic, within_item,
};
use shared::id::UserId;
use shared::problem::Fault;
use shared::{Answer, App, Boxed, Call, Problem, Reading, Reads};

/// `POST /access/v1/evaluation`: says whether a member may do something now (OpenID AuthZEN, Authorization API 1.0).
///
/// Everybody may ask about themselves. `decision:check` allows to ask about others.
async fn evaluate(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let evaluation = call.body(MAX_BODY)?.all(Evaluation::read)?;
    let asked = evaluation.asked(caller.tenant)?;
    app.read(call, &caller, Reads::questions([&asked.question]), &|reading| {
        let decision = reading.decide(&asked.question)?;
        Ok(Answer::json(200, &json!(Evaluated::new(&decision, asked.is_explained))).uncached())
    })
    .await
}

/// `POST /access/v1/evaluations`: answers up to 100 such questions at once, all of them or up to the first denial or permission.
///
/// Everybody may ask about themselves. `decision:check` allows to ask about others.
async fn evaluate_all(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let batch = call.body(MAX_BODY)?.all(Evaluations::read)?.asked(caller.tenant)?;
    app.read(call, &caller, Reads::questions(batch.questions()), &|reading| {
        let answers = match &batch {
            Batch::One(asked) => {
                EvaluatedAll::One(Evaluated::new(&reading.decide(&asked.question)?, asked.is_explained))
            }
            Batch::Many(asked, semantic) => EvaluatedAll::Many(answer_many(reading, asked, *semantic)?),
        };
        Ok(Answer::json(200, &json!(answers)).uncached())
    })
    .await
}

/// The answers to many questions, up to the one that ends them.
fn answer_many(
    reading: &Reading,
    asked: &[Result<Asked, Vec<Fault>>],
    semantic: Semantic,
) -> Result<EvaluatedMany, Problem> {
    let mut evaluations = Vec::new();
    for (index, asked) in asked.iter().enumerate() {
        let evaluated = match asked {
            Ok(asked) => evaluated(reading, asked)?,
            Err(faults) => Evaluated::faulty(&within_item(faults, index)),
        };
        let is_last = semantic.ends_with(evaluated.decision);
        evaluations.push(evaluated);
        if is_last {
            break;
        }
    }
    Ok(EvaluatedMany { evaluations })
}

/// The answer to one question of many. A question about a change that cannot be spoils no other.
fn evaluated(reading: &Reading, asked: &Asked) -> Result<Evaluated, Problem> {
    match reading.decide(&asked.question) {
        Ok(decision) => Ok(Evaluated::new(&decision, asked.is_explained)),
        Err(why @ Problem::Forbidden(_)) => Err(why),
        Err(why) => Ok(Evaluated::faulty(&why)),
    }
}

/// `POST /access/v1/search/subject`: lists the members who may do something to a thing now.
///
/// Needs `decision:check`.
async fn search_subjects(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let search = call.body(MAX_BODY)?.all(SubjectSearch::read)?;
    let (question, page, kind) = search.asked(caller.tenant, &caller.name())?;
    app.subjects(call, &caller, question.as_ref(), &page, &|users, next| {
        let subject = |user: &UserId| FoundSubject { r#type: kind.clone(), id: user.uuid().to_string() };
        found(users.iter().map(subject).collect(), next)
    })
    .await
}

/// `POST /access/v1/search/action`: lists what a member may do to a thing now.
///
/// Everybody may ask about themselves. `decision:check` allows to ask about others.
async fn search_actions(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let search = call.body(MAX_BODY)?.all(ActionSearch::read)?;
    let (actions, page) = search.asked(caller.tenant, &caller.name())?;
    app.read(call, &caller, actions.reads(&caller), &|reading| {
        let (names, next) = reading.actions(&actions, &page)?;
        Ok(found(names.into_iter().map(|name| FoundAction { name }).collect(), next))
    })
    .await
}

fn found<T: Serialize>(results: Vec<T>, next: Option<String>) -> Answer {
    Answer::json(200, &json!(SearchAnswer::new(results, next))).uncached()
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    match call.route.as_str() {
        "POST /access/v1/evaluations" => Box::pin(evaluate_all(app, call)),
        "POST /access/v1/search/subject" => Box::pin(search_subjects(app, call)),
        "POST /access/v1/search/action" => Box::pin(search_actions(app, call)),
        _ => Box::pin(evaluate(app, call)),
    }
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&AUTHZEN, answer)
}

#[test]
fn description() {
    use openapi::Operation;
    use shared::json::Object;
    let operation = |route| Operation::new(&AUTHZEN).route(route);
    // An answer tells the faults of a question beside the answers to the others.
    let read_all = |body: &mut Object| {
        let read = Evaluations::read(body)?;
        read.faults_of_items().into_iter().for_each(|fault| body.refuse(fault));
        Ok(read)
    };
    operation("POST /access/v1/evaluation").question::<_, Evaluated>(Evaluation::read).describe();
    operation("POST /access/v1/evaluations").question::<_, EvaluatedAll>(read_all).describe();
    let subjects = operation("POST /access/v1/search/subject");
    subjects.question::<_, SearchAnswer<FoundSubject>>(SubjectSearch::read).describe();
    let actions = operation("POST /access/v1/search/action");
    actions.question::<_, SearchAnswer<FoundAction>>(ActionSearch::read).describe();
}
