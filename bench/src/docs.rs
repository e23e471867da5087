//! Measures the functions of the API reference: cold starts, each with its first request.

use std::time::{Duration, Instant};

use local::cases::{Cases, SUCCESS};
use local::functions::{self, Processes};
use local::template::{Function, Kind, find_root};
use local::{Result, Template};
use serde_json::Value;

use crate::bed::Tail;
use crate::gauge::{self, Apart};
use crate::subjects::zipped;
use crate::text::{bar, ms, note, number, spread, table};

/// A request to a function. It is a recorded event that succeeds.
struct Case {
    function: Function,
    name: String,
    event: Value,
    init: Vec<f64>,
    first: Vec<f64>,
    cpu: Vec<f64>,
    memory: f64,
}

pub async fn run(cold: u32, log: &Tail) -> Result<()> {
    let root = find_root()?;
    let template = Template::load(&root.join("template.yaml"))?;
    // Other public functions use the table, which is not there.
    let docs = |function: &&Function| function.kind == Some(Kind::Public) && function.statements.is_empty();
    let docs: Vec<&Function> = template.functions.iter().filter(docs).collect();
    let bin_dir = functions::build(&root, docs.iter().map(|function| function.name.as_str()), true)?;
    let mut cases = Vec::new();
    for function in docs {
        let successes = Cases::load(&root, &function.name)?.all()?;
        for success in successes.into_iter().filter(|case| case.name.starts_with(SUCCESS)) {
            let event = success.event;
            let name = event["rawPath"].as_str().unwrap_or_default().to_owned();
            let (init, first, cpu) = (Vec::new(), Vec::new(), Vec::new());
            cases.push(Case { function: function.clone(), name, event, init, first, cpu, memory: 0.0 });
        }
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));

    let (processes, apart) = (Processes::new(log.sink()), Apart::new()?);
    let progress = bar("cold starts", cold as usize * cases.len())?;
    for _ in 0..cold {
        for case in &mut cases {
            let Case { function, event, .. } = case;
            let failed = |error| format!("{}: {error}", function.name);
            // This function makes no calls.
            let command =
                functions::command(&bin_dir.join(&function.name), function, "person", &bin_dir, "http://127.0.0.1:9");
            let started = Instant::now();
            let mut process = processes.start(&function.name, command).await.map_err(failed)?;
            apart.put(process.pid)?;
            process.ready().await.map_err(failed)?;
            case.init.push(ms(started.elapsed()));
            let started = Instant::now();
            let answer =
                process.invoke(event.to_string().into(), None, Duration::from_secs(10)).await.map_err(failed)?;
            case.first.push(ms(started.elapsed()));
            process.ready().await.map_err(failed)?;
            case.cpu.push(ms(gauge::cpu(process.pid)?));
            case.memory = case.memory.max(gauge::memory(process.pid)?[1]);
            process.end().await;
            let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
            if answer["statusCode"] != 200 {
                return Err(format!("{}: {}", function.name, answer["statusCode"]).into());
            }
            progress.inc(1);
        }
    }
    progress.finish_and_clear();

    let rows = cases.iter().map(|case| {
        let times = [&case.init, &case.first, &case.cpu].map(|values| spread(values));
        let [init, first, cpu] = times;
        [case.function.name.clone(), case.name.clone(), init, first, cpu, number(case.memory)]
    });
    let columns = ["", "first request", "init, wall", "first answer, wall", "both, CPU", "MB at most"];
    let title = format!("API reference, cold start: {cold} processes of each, in turns; ms, median (p10–p90)");
    table(&title, columns, &rows.collect::<Vec<_>>());

    let mut names: Vec<_> = cases.iter().map(|case| case.function.name.clone()).collect();
    names.sort();
    names.dedup();
    let sizes = names.into_iter().map(|name| {
        let sizes = zipped(&[("bootstrap".into(), bin_dir.join(&name))])?;
        let [zip, unpacked] = sizes.map(|bytes| number(bytes as f64 / 1e6));
        Ok([name, zip, unpacked])
    });
    table("API reference, deployed: MB of 10^6 bytes", ["", "zip", "unpacked"], &sizes.collect::<Result<Vec<_>>>()?);
    note(NOTES);
    Ok(())
}

const NOTES: &str = "\
The requests are the recorded events that succeed. The script is compressed when the function is built, and goes to Lambda in \
base64.";
