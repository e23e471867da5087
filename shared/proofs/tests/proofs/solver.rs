//! A solver that has erred is not asked again.

use super::*;

/// What the solver is asked, and what it must answer: a user may not always read another.
fn ask(prover: &mut Prover) -> proofs::Asked<bool> {
    let requests = Requests::of_product();
    let kind = requests.kinds.iter().position(|kind| name(kind) == "Member Action::\"member:read\" Member").unwrap();
    let policies = requests.compile(&policies(BASE), kind);
    prover.ask(async |solver| solver.check_always_allows_opt(&policies).await)
}

#[test]
fn one_solver_answers_many_questions() {
    let mut prover = Prover::new();
    for _ in 0..3 {
        assert!(!ask(&mut prover).unwrap());
    }
    assert_eq!(prover.started, 1);
}

/// The answer `unsat` that comes after the error belongs to the first question: taken for the answer to the second one, it would prove
/// what is false.
#[test]
fn a_solver_that_has_erred_is_not_asked_again() {
    let late = r#"while read -r line; do case $line in *check-sat*) echo '(error "late")'; echo unsat;; esac; done"#;
    let mut prover = Prover::with(&["sh", "-c", late]);
    for started in 1..4 {
        let why = ask(&mut prover).unwrap_err().to_string();
        assert!(why.contains("late"), "{why}");
        assert_eq!(prover.started, started);
    }
}

#[test]
fn a_solver_that_does_not_know_or_is_gone_proves_nothing() {
    for (program, says) in [
        ("while read -r line; do case $line in *check-sat*) echo unknown;; esac; done", "unknown"),
        ("read -r line", "solver"),
        ("exit 0", "solver"),
    ] {
        let mut prover = Prover::with(&["sh", "-c", program]);
        for started in 1..3 {
            let why = format!("{:?}", ask(&mut prover).unwrap_err()).to_lowercase();
            assert!(why.contains(says), "{program}: {why}");
            assert_eq!(prover.started, started);
        }
    }
    assert!(ask(&mut Prover::with(&["./no-such-solver"])).is_err());
}

/// A question that the solver must think about for too long is an error, not an answer.
#[test]
fn a_solver_that_takes_too_long_proves_nothing() {
    let mut prover = Prover::with(&["cvc5", "--lang=smt", "--rlimit-per=1"]);
    assert!(ask(&mut prover).is_err());
    assert_eq!(prover.started, 1);
}
