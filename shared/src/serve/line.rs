//! The line that every request leaves in the log. CloudWatch takes its metrics from it, too.
//!
//! Format: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::time::Duration;

use domain::id::TenantId;
use domain::{Problem, Time};
use serde::Serialize;

use crate::http::call::Call;
use crate::http::credential::Holder;
use crate::log::{self, Level, millis};
use crate::table::meter::Cost;

/// The line of a call that takes longer gives the reason.
const SLOW: Duration = Duration::from_millis(500);

#[derive(Debug, Serialize)]
struct Line<'a> {
    #[serde(rename = "_aws")]
    metrics: Metrics,
    timestamp: Time,
    level: Level,
    message: &'static str,
    service: &'a str,
    function: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<&'a str>,
    dialect: &'static str,
    /// A number, like that of the caller: names are not for logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<u32>,
    /// The number of the API key that calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<u32>,
    /// The number of who acts as the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    impersonator: Option<u32>,
    status: u16,
    outcome: &'static str,
    /// The policy that denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    failures: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'static str>,
    faults: u8,
    denials: u8,
    cold: u8,
    /// From the start of the process until it asked for work, if this is its first request.
    #[serde(skip_serializing_if = "Option::is_none")]
    init_ms: Option<f64>,
    round_trips: u32,
    read_units: f64,
    write_units: f64,
    throttles: u32,
    restarts: u32,
    table_ms: f64,
    pauses_ms: f64,
    ms: f64,
}

/// Writes the line of a request that got this answer. `init` is how long the process took to start, if this is its first
/// request.
pub(super) fn request(call: &Call, now: Time, status: u16, problem: Option<&Problem>, init: Option<Duration>) {
    let Some(source) = log::source() else { return };
    let cost = call.meter.cost();
    let took = call.started.elapsed();
    let fault = status >= 500;
    let slow = slow(&cost, took);
    let (tenant, holder) = call.caller.get().copied().unzip();
    let (caller, key) = match holder {
        Some(Holder::Member(user)) => (Some(user.number()), None),
        Some(Holder::Key(id, _)) => (None, Some(id.number())),
        None => (None, None),
    };
    let line = Line {
        metrics: Metrics::at(now),
        timestamp: now,
        level: match fault {
            true => Level::Error,
            false if slow.is_some() || status == 429 => Level::Warn,
            false => Level::Info,
        },
        message: "request",
        service: &source.service,
        function: &source.function,
        request_id: &call.request_id,
        trace: call.trace.as_deref(),
        dialect: call.dialect.name,
        tenant: tenant.map(TenantId::number),
        caller,
        key,
        impersonator: call.impersonator.get().map(|by| by.number()),
        status,
        outcome: problem.map_or("ok", Problem::code),
        rule: match problem {
            Some(Problem::Forbidden(denial)) => Some(&denial.rule),
            _ => None,
        },
        cause: problem.and_then(Problem::cause),
        failures: &cost.failures,
        advice: problem.and_then(Problem::advice).or(slow),
        faults: fault.into(),
        denials: (status == 403).into(),
        cold: init.is_some().into(),
        init_ms: init.map(millis),
        round_trips: cost.round_trips,
        read_units: cost.read_units,
        write_units: cost.write_units,
        throttles: cost.throttles,
        restarts: cost.restarts,
        table_ms: millis(cost.table),
        pauses_ms: millis(cost.pauses),
        ms: millis(took),
    };
    log::write(&line);
}

/// The part of a slow call that took most of its time, and advice.
fn slow(cost: &Cost, took: Duration) -> Option<&'static str> {
    let own = took.saturating_sub(cost.table).saturating_sub(cost.pauses);
    (took > SLOW).then_some(if cost.table >= cost.pauses.max(own) {
        "slow: most of the time the function waited for the table's answers. Compare the table's SuccessfulRequestLatency"
    } else if cost.pauses >= own {
        "slow: most of the time the function waited between failed tries. See `failures`"
    } else {
        "slow: most of the time went to the function's own work. A larger MemorySize gives it more CPU"
    })
}

/// Names the members of the line that are metrics.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metrics {
    timestamp: i64,
    cloud_watch_metrics: [Directive; 2],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive {
    namespace: &'static str,
    dimensions: [&'static [&'static str]; 1],
    metrics: &'static [Metric],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metric {
    name: &'static str,
    unit: &'static str,
}

const fn count(name: &'static str) -> Metric {
    Metric { name, unit: "Count" }
}

impl Metrics {
    const ALL: [Metric; 9] = [
        Metric { name: "ms", unit: "Milliseconds" },
        count("faults"),
        count("denials"),
        count("cold"),
        count("throttles"),
        count("restarts"),
        count("round_trips"),
        count("read_units"),
        count("write_units"),
    ];

    fn at(now: Time) -> Self {
        let of = |dimensions, metrics| Directive { namespace: "Rolecall", dimensions: [dimensions], metrics };
        // Each metric by function costs money for each function, so there are only the first two.
        let by_function = of(&["service", "function"], &const { Self::ALL }[..2]);
        Self { timestamp: now.millis(), cloud_watch_metrics: [of(&["service"], &const { Self::ALL }), by_function] }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_slow_call_says_where_its_time_went() {
        let cost = |table, pauses| Cost {
            table: Duration::from_millis(table),
            pauses: Duration::from_millis(pauses),
            ..Cost::default()
        };
        let advice = |table, pauses, took| slow(&cost(table, pauses), Duration::from_millis(took)).unwrap_or_default();
        assert_eq!(advice(400, 90, 500), "");
        assert!(advice(400, 90, 501).contains("the table's answers"));
        assert!(advice(100, 300, 501).contains("`failures`"));
        assert!(advice(100, 100, 501).contains("own work"));
    }

    #[test]
    fn every_metric_is_on_the_dashboard() {
        let template = include_str!("../../../template.yaml");
        for Metric { name, .. } in Metrics::ALL {
            let found = [
                format!("\"{name}\", \"service\""),
                format!("\"{name}\", \".\""),
                format!("MetricName=\\\"{name}\\\""),
            ];
            assert!(found.iter().any(|text| template.contains(text)), "{name}");
        }
    }

    #[test]
    fn every_metric_is_a_number_of_the_line() {
        let line = json!(Line {
            metrics: Metrics::at(Time::from_millis(1)),
            timestamp: Time::from_millis(1),
            level: Level::Info,
            message: "request",
            service: "rolecall",
            function: "f",
            request_id: "r",
            trace: None,
            dialect: "tenant",
            tenant: None,
            caller: None,
            key: None,
            impersonator: None,
            status: 200,
            outcome: "ok",
            rule: None,
            cause: None,
            failures: &[],
            advice: None,
            faults: 0,
            denials: 0,
            cold: 0,
            init_ms: None,
            round_trips: 0,
            read_units: 0.0,
            write_units: 0.0,
            throttles: 0,
            restarts: 0,
            table_ms: 0.0,
            pauses_ms: 0.0,
            ms: 0.0,
        });
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
            for metric in directive["Metrics"].as_array().unwrap() {
                assert!(line[metric["Name"].as_str().unwrap()].is_number(), "{metric}");
            }
            for dimension in directive["Dimensions"][0].as_array().unwrap() {
                assert!(line[dimension.as_str().unwrap()].is_string(), "{dimension}");
            }
        }
    }
}
