//! Reads `template.yaml`, the SAM template. It is the only list of routes, functions, environment, timeouts and IAM statements.
//!
//! The reader understands each property of the functions, of the API and of the table, or knows that it means nothing on one
//! machine (`resources.rs` lists those), or gives an error that names the resource and the property. It does not look at other
//! resources (alarms, queues) and outputs. Of CloudFormation's intrinsic functions it has those that the template uses
//! (`resolve.rs`).

mod api;
mod resolve;
mod resources;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Map, Value, json};
use serde_norway::Value as Yaml;

use crate::{Error, Result};

/// The account and region of everything that runs locally.
pub const ACCOUNT: &str = "000000000000";
pub const REGION: &str = "us-east-1";

/// A resolved template: no intrinsic function is left in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// The stage of the HTTP API. It is the first segment of the paths, except that `$default` is in no path.
    pub stage: String,
    pub cors: Option<Cors>,
    /// The input of `CreateTable`, as the `AWS::DynamoDB::Table` resource defines the table.
    pub table: Value,
    /// The table's `TimeToLiveSpecification`, an input of `UpdateTimeToLive`.
    pub time_to_live: Option<Value>,
    /// The functions in the order of the template.
    pub functions: Vec<Function>,
}

/// The CORS of an API: it says which pages of other origins may call, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// Each is a scheme and a host, without wildcards.
    pub origins: Vec<String>,
    pub methods: Vec<String>,
    /// The request headers that a page may set.
    pub headers: Vec<String>,
    /// The headers of an answer that a page may read.
    pub exposed: Vec<String>,
    pub credentials: bool,
    /// The seconds for which a browser may keep the answer to a preflight.
    pub max_age: u64,
}

/// An `AWS::Serverless::Function` with the properties that `Globals` adds to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    /// The last segment of `CodeUri`. The package and the binary have this name, too: `users-update`.
    pub name: String,
    /// The name of the resource: `UsersUpdateFunction`.
    pub resource: String,
    /// The `Kind` in its `Metadata`, which SAM accepts and ignores.
    pub kind: Option<Kind>,
    pub description: String,
    pub routes: Vec<Route>,
    pub sources: Vec<Source>,
    /// The longest time of an invocation.
    pub timeout: Duration,
    /// In MB.
    pub memory: u64,
    pub environment: BTreeMap<String, String>,
    pub statements: Vec<Statement>,
}

/// The callers who may call a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Anybody.
    Public,
    /// A caller who shows a credential.
    Credential,
    /// The product itself.
    Product,
}

/// A source of events that no caller sends.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// The table's stream.
    Stream(StreamSource),
    /// Messages of a queue.
    Queue(QueueSource),
    /// An invocation each time that this long has passed.
    Schedule(Duration),
}

/// The records of the table's stream that a function gets.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamSource {
    /// Event patterns, as Lambda's event filtering has them. One of them must match, if there are any.
    pub patterns: Vec<Value>,
    /// The most records of an invocation.
    pub batch_size: usize,
    /// Whether records of different items may come at the same time.
    pub is_parallel: bool,
    /// How often a record is repeated whose invocation failed.
    pub retries: u64,
}

/// The queue whose messages a function gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSource {
    /// Its ARN.
    pub queue: String,
    /// The most messages of an invocation.
    pub batch_size: usize,
}

/// A route of the HTTP API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The `operationId`.
    pub operation: String,
    /// For example `PATCH`.
    pub method: String,
    /// For example `/v1/users/{id}`.
    pub path: String,
}

/// An IAM statement that allows actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Actions, with IAM's wildcards.
    pub actions: Vec<String>,
    /// ARNs, with IAM's wildcards.
    pub resources: Vec<String>,
    /// The only attributes of items that an action may name, if the statement has such a condition.
    pub attributes: Option<Vec<String>>,
    /// The only partitions in which an action may write, with IAM's wildcards, if the statement has such a condition.
    pub partitions: Option<Vec<String>>,
}

/// Returns the ARN of a local table. A name that is already an ARN stays as it is.
pub fn table_arn(name: &str) -> String {
    if name.starts_with("arn:") { name.into() } else { format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}") }
}

/// Returns the ARN of a local function.
pub fn function_arn(name: &str) -> String {
    format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}")
}

/// Finds the folder of `template.yaml`: the current one or the nearest above it, else the nearest above the crate that cargo
/// runs.
pub fn find_root() -> Result<PathBuf> {
    let current = std::env::current_dir().map_err(|error| format!("cannot tell the current folder: {error}"))?;
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    [Some(current), package]
        .iter()
        .flatten()
        .flat_map(|start| start.ancestors())
        .find(|folder| folder.join("template.yaml").is_file())
        .map(PathBuf::from)
        .ok_or_else(|| "no `template.yaml` in this folder or above it".to_string().into())
}

impl Template {
    /// Reads a template file with the defaults of its parameters.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is not YAML, or has a part that the reader does not understand.
    pub fn load(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        Self::parse(&text).map_err(|error| format!("{}: {error}", path.display()).into())
    }

    /// Reads the text of a template with the defaults of its parameters.
    ///
    /// # Errors
    ///
    /// The text is not YAML, or has a part that the reader does not understand.
    pub fn parse(text: &str) -> Result<Self> {
        let mut yaml: Yaml = serde_norway::from_str(text).map_err(|error| format!("not YAML: {error}"))?;
        yaml.apply_merge().map_err(|error| format!("not YAML: {error}"))?;
        let template = resources::read(&long_form(yaml)?)?;
        template.refuse_repetition()?;
        Ok(template)
    }

    /// Returns the name of the table.
    pub fn table_name(&self) -> &str {
        self.table["TableName"].as_str().unwrap_or(DEFAULT_TABLE)
    }

    /// Returns the function with this name (`users-update`).
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.name == name)
    }

    fn refuse_repetition(&self) -> Result<()> {
        let (mut names, mut routes, mut operations) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        for function in &self.functions {
            if let Some(other) = names.insert(&function.name, &function.resource) {
                let (name, resource) = (&function.name, &function.resource);
                return Err(format!("{resource}.CodeUri: {other} is named `{name}` too").into());
            }
            for Route { operation, method, path } in &function.routes {
                // For API Gateway, two routes are the same if they differ only in the names of their variables.
                let shape: Vec<_> =
                    path.split('/').map(|segment| if segment.starts_with('{') { "{}" } else { segment }).collect();
                if let Some(other) = routes.insert((method, shape), &function.resource) {
                    let resource = &function.resource;
                    return Err(format!("{resource}: {other} has the route `{method} {path}` too").into());
                }
                if !operations.insert(operation) {
                    return Err(format!("{method} {path}: another route is named `{operation}`, too").into());
                }
            }
        }
        Ok(())
    }
}

const DEFAULT_TABLE: &str = "rolecall";

/// Turns YAML into JSON, and writes `!Sub x` as `{"Fn::Sub": x}`.
fn long_form(yaml: Yaml) -> Result<Value> {
    Ok(match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(value) => value.into(),
        Yaml::Number(value) => serde_json::to_value(value).map_err(|error| error.to_string())?,
        Yaml::String(value) => value.into(),
        Yaml::Sequence(values) => values.into_iter().map(long_form).collect::<Result<Vec<_>>>()?.into(),
        Yaml::Mapping(entries) => entries
            .into_iter()
            .map(|(key, value)| match key {
                Yaml::String(key) => Ok((key, long_form(value)?)),
                key => Err(Error::from(format!("a key that is not text: {key:?}"))),
            })
            .collect::<Result<Map<_, _>>>()?
            .into(),
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let name = match tag.trim_start_matches('!') {
                "Ref" => "Ref".into(),
                name => format!("Fn::{name}"),
            };
            json!({ name: long_form(tagged.value)? })
        }
    })
}

#[cfg(test)]
mod tests;
