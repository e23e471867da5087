//! The solver: another process, which is asked many questions.

use cedar_policy_symcc::CedarSymCompiler;
use cedar_policy_symcc::err::{self, Error};
use cedar_policy_symcc::solver::LocalSolver;
use tokio::process::Command;
use tokio::runtime::{Builder, Runtime};

/// An answer of the solver.
pub type Asked<T> = Result<T, Box<Error>>;

pub type Solver = CedarSymCompiler<LocalSolver>;

/// Asks a solver, and starts it when it needs one.
pub struct Prover {
    runtime: Runtime,
    command: Vec<String>,
    /// One that has answered all that it was asked.
    idle: Option<Solver>,
    /// How many were started.
    pub started: usize,
}

impl Prover {
    /// With Debian's solver. A question that takes 20 s is an error.
    ///
    /// # Panics
    /// The process can have no runtime.
    pub fn new() -> Self {
        Self::with(&["cvc5", "--lang=smt", "--tlimit-per=20000"])
    }

    /// With another program that speaks SMT-LIB.
    ///
    /// # Panics
    /// The process can have no runtime.
    pub fn with(command: &[&str]) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { runtime, command: command.iter().map(ToString::to_string).collect(), idle: None, started: 0 }
    }

    /// Asks a question. After an error the solver is not asked again, because what it says next can be the answer to this question: it is
    /// dropped, and the next question starts another one.
    ///
    /// # Errors
    /// There is no solver, or it gave no answer.
    pub fn ask<T>(&mut self, question: impl AsyncFnOnce(&mut Solver) -> err::Result<T>) -> Asked<T> {
        let idle = self.idle.take();
        let Self { runtime, command, started, .. } = self;
        let (answer, solver) = runtime.block_on(async {
            let mut solver = match idle {
                Some(solver) => solver,
                None => {
                    *started += 1;
                    start(command)?
                }
            };
            Ok::<_, Box<Error>>((question(&mut solver).await?, solver))
        })?;
        self.idle = Some(solver);
        Ok(answer)
    }
}

impl Default for Prover {
    fn default() -> Self {
        Self::new()
    }
}

fn start(command: &[String]) -> Asked<Solver> {
    let mut process = Command::new(&command[0]);
    process.args(&command[1..]).kill_on_drop(true);
    let process = LocalSolver::from_command(&mut process).map_err(Error::from)?;
    Ok(Solver::new(process)?)
}
