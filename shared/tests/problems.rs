//! Every problem in every dialect, as a text table under version control: `problems.txt`.

#[path = "../domain/tests/common/mod.rs"]
mod common;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use openapi::{CAUSE, faults, problems};
use serde_json::Value;
use shared::dialect::ALL;
use shared::problem::{Fault, MAX_TOLD, Reference, Step, Wrong};
use shared::{Answer, Problem};

/// The names of all problems. A new one makes `name` fail to compile, and then this list too short.
const PROBLEMS: [&str; 25] = [
    "Unauthenticated",
    "InvalidJson",
    "Invalid",
    "PayloadTooLarge",
    "UnsupportedMediaType",
    "TenantMismatch",
    "Forbidden",
    "NotFound",
    "InvalidReference",
    "LastOwner",
    "TooManyChanges",
    "VersionMismatch",
    "IdempotencyMismatch",
    "TooManyRequests",
    "Unavailable",
    "Internal",
    "UnsupportedContentCoding",
    "LimitReached",
    "Exists",
    "InUse",
    "SecretAlreadyShown",
    "NothingToMatch",
    "DomainNotAllowed",
    "Grant",
    "OfChange",
];

fn name(problem: &Problem) -> &'static str {
    match problem {
        Problem::Unauthenticated(_) => PROBLEMS[0],
        Problem::InvalidJson(_) => PROBLEMS[1],
        Problem::Invalid(_) => PROBLEMS[2],
        Problem::PayloadTooLarge(_) => PROBLEMS[3],
        Problem::UnsupportedMediaType(_) => PROBLEMS[4],
        Problem::TenantMismatch => PROBLEMS[5],
        Problem::Forbidden(_) => PROBLEMS[6],
        Problem::NotFound(_) => PROBLEMS[7],
        Problem::InvalidReference { .. } => PROBLEMS[8],
        Problem::LastOwner => PROBLEMS[9],
        Problem::TooManyChanges(_) => PROBLEMS[10],
        Problem::VersionMismatch(_) => PROBLEMS[11],
        Problem::IdempotencyMismatch => PROBLEMS[12],
        Problem::TooManyRequests(_) => PROBLEMS[13],
        Problem::Unavailable(_) => PROBLEMS[14],
        Problem::Internal(_) => PROBLEMS[15],
        Problem::UnsupportedContentCoding => PROBLEMS[16],
        Problem::LimitReached(..) => PROBLEMS[17],
        Problem::Exists(_) => PROBLEMS[18],
        Problem::InUse(_) => PROBLEMS[19],
        Problem::SecretAlreadyShown(_) => PROBLEMS[20],
        Problem::NothingToMatch(_) => PROBLEMS[21],
        Problem::DomainNotAllowed => PROBLEMS[22],
        Problem::Grant(..) => PROBLEMS[23],
        Problem::OfChange(..) => PROBLEMS[24],
    }
}

/// The names of all faults, kept complete in the same way.
const FAULTS: [&str; 14] = [
    "Missing",
    "Null",
    "Type",
    "Empty",
    "TooLong",
    "ControlCharacter",
    "Uuid",
    "OutOfRange",
    "NotOneOf",
    "Syntax",
    "Differs",
    "NothingOf",
    "HiddenCharacter",
    "Policy",
];

fn fault_name(wrong: &Wrong) -> &'static str {
    match wrong {
        Wrong::Missing => FAULTS[0],
        Wrong::Null => FAULTS[1],
        Wrong::Type(_) => FAULTS[2],
        Wrong::Empty => FAULTS[3],
        Wrong::TooLong(_) => FAULTS[4],
        Wrong::ControlCharacter => FAULTS[5],
        Wrong::Uuid => FAULTS[6],
        Wrong::OutOfRange(..) => FAULTS[7],
        Wrong::NotOneOf(_) => FAULTS[8],
        Wrong::Syntax(_) => FAULTS[9],
        Wrong::Differs(_) => FAULTS[10],
        Wrong::NothingOf(_) => FAULTS[11],
        Wrong::HiddenCharacter => FAULTS[12],
        Wrong::Policy(_) => FAULTS[13],
    }
}

/// In the order of the list, whatever the order of the problems.
fn in_order() -> Vec<Problem> {
    let mut problems = problems();
    problems.sort_by_key(|problem| PROBLEMS.iter().position(|known| *known == name(problem)));
    problems
}

fn text_of(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    let mut values = answer.headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let value = values.next();
    assert_eq!(values.next(), None, "{name} is there twice");
    value
}

#[test]
fn nothing_is_left_out() {
    let named: BTreeSet<&str> = problems().iter().map(name).collect();
    assert_eq!(named, PROBLEMS.into());
    let faults: BTreeSet<&str> = faults().iter().map(|fault| fault_name(&fault.wrong)).collect();
    assert_eq!(faults, FAULTS.into());
}

#[test]
fn problems_are_the_table() {
    let mut text = String::from("What each dialect answers to every problem. Made by tests/problems.rs.\n");
    for problem in in_order() {
        let shown = match &problem {
            Problem::Invalid(faults) if faults.len() == 1 => {
                let place: Vec<_> = faults[0].place.iter().map(step).collect();
                format!("Invalid: {} at {}", fault_name(&faults[0].wrong), place.join("."))
            }
            Problem::Invalid(faults) => format!("Invalid: {} faults", faults.len()),
            Problem::Forbidden(denial) => format!("Forbidden: {}, {} notices", denial.rule, denial.notices.len()),
            Problem::NotFound(what) => format!("NotFound: {what}"),
            Problem::InvalidReference { kind, values, .. } => {
                format!("InvalidReference: {} of {} values", kind.name(), values.len())
            }
            problem => name(problem).to_owned(),
        };
        write!(text, "\n{shown}\n").unwrap();
        for dialect in ALL {
            let answer = dialect.problem(&problem);
            assert_eq!(header(&answer, "content-type"), Some("application/json"));
            let headers = answer.headers.iter().filter(|(name, _)| name != "content-type");
            let headers: String = headers.map(|(name, value)| format!("{name}: {value}  ")).collect();
            writeln!(text, "{:12}  {}  {headers}{}", dialect.name, answer.status, text_of(&answer)).unwrap();
        }
    }
    common::compare("problems.txt", &text);
}

fn step(step: &Step) -> String {
    match step {
        Step::Name(name) => name.to_string(),
        Step::Index(index) => index.to_string(),
    }
}

// The table must show these, whoever blesses it.

#[test]
fn no_answer_says_the_cause() {
    for problem in
        [Problem::Unauthenticated(CAUSE), Problem::Unavailable(CAUSE.to_owned()), Problem::Internal(CAUSE.to_owned())]
    {
        assert_eq!(problem.cause(), Some(CAUSE));
        for dialect in ALL {
            let answer = dialect.problem(&problem);
            assert!(!text_of(&answer).contains(CAUSE), "{}", text_of(&answer));
            assert!(answer.headers.iter().all(|(_, value)| !value.contains(CAUSE)), "{:?}", answer.headers);
        }
    }
}

#[test]
fn later_is_a_number_of_seconds() {
    for problem in problems() {
        for dialect in ALL {
            let answer = dialect.problem(&problem);
            let retry = header(&answer, "retry-after");
            assert_eq!(retry.is_some(), matches!(answer.status, 429 | 503), "{problem:?}");
            assert!(retry.is_none_or(|seconds| seconds.parse::<u32>().is_ok_and(|seconds| seconds > 0)));
            assert_eq!(header(&answer, "www-authenticate").is_some(), answer.status == 401, "{problem:?}");
        }
    }
}

/// A body of 64 KiB can have 20,000 faults.
#[test]
fn an_answer_tells_twenty_faults_and_how_many_more() {
    assert_eq!(MAX_TOLD, 20);
    let fault = |index| Fault { place: vec!["body".into(), "groups".into(), Step::Index(index)], wrong: Wrong::Null };
    let invalid = |count| Problem::Invalid((0..count).map(fault).collect());
    let unknown = |count: usize| Problem::InvalidReference {
        kind: Reference::Group,
        place: vec!["body".into(), "groups".into()],
        values: (1..=count).map(|number| format!("#{number}#")).collect(),
    };
    for dialect in ALL {
        let told = |problem: Problem| text_of(&dialect.problem(&problem)).to_owned();
        let (all, some) = (told(invalid(20)), told(invalid(20_000)));
        assert!(!all.contains("more") && some.contains("19980 more"), "{all} {some}");
        assert!(some.contains("[19]") || some.contains(",19]"), "{some}");
        assert!(!some.contains("[20]") && !some.contains(",20]") && some.len() < 4096, "{some}");

        let (all, some) = (told(unknown(20)), told(unknown(20_000)));
        assert!(all.contains("#20#") && !all.contains("more"), "{all}");
        assert!(some.contains("#20#") && !some.contains("#21#") && some.contains("19980 more"), "{some}");
    }
}

#[test]
fn bodies_have_the_members_of_their_dialect() {
    for problem in problems() {
        for dialect in ALL {
            let answer = dialect.problem(&problem);
            let body: Value = serde_json::from_slice(&answer.body).unwrap();
            let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
            match dialect.name {
                "tenant" => {
                    assert_eq!(keys(&body)[..3], ["error", "message", "code"]);
                    assert_eq!(body["code"], answer.status);
                    assert!(body.get("errors").is_none_or(|errors| errors.as_array().unwrap().len() > 1));
                }
                "users" => {
                    assert_eq!(keys(&body), ["code", "message", "details", "notices"]);
                    assert_eq!(body["code"], problem.code());
                    assert!(body["details"].is_object() && body["notices"].is_array());
                    assert!(answer.status == 403 || body["notices"] == serde_json::json!([]));
                }
                "directory" => {
                    assert_eq!(keys(&body), ["data", "errors"]);
                    assert!(body["data"].is_null() && !body["errors"].as_array().unwrap().is_empty());
                    assert!(!matches!(answer.status, 409 | 422), "{problem:?}");
                }
                "membership" => {
                    assert_eq!(keys(&body), ["error"]);
                    assert_eq!(keys(&body["error"]), ["code", "message", "details"]);
                }
                "organization" => {
                    assert_eq!(keys(&body), ["detail"]);
                    match answer.status {
                        422 => {
                            for cause in body["detail"].as_array().unwrap() {
                                assert_eq!(keys(cause), ["loc", "msg", "type"]);
                            }
                            assert!(!body["detail"].as_array().unwrap().is_empty());
                        }
                        _ => assert!(body["detail"].is_string()),
                    }
                }
                "authzen" => {
                    assert!(body.is_string() && !matches!(answer.status, 409 | 412 | 415 | 422), "{problem:?}");
                }
                "oauth" => {
                    assert_eq!(keys(&body), ["error", "error_description"]);
                    // RFC 6749, section 5.2; the others are of writes that are made once, such as the beginning of a session for support.
                    assert_ne!(answer.status, 415, "{problem:?}");
                }
                name => panic!("say here what the members of {name} are"),
            }
        }
    }
}
