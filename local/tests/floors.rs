//! The floors of `shared`: no file uses a higher floor, and a function reaches the table only through the gate.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use local::template::find_root;
use local::{Template, functions};
use serde_json::Value;

/// The floors of `shared/src`, the lowest first. A file may use lower floors, and the other files of its own folder.
const FLOORS: [&[&str]; 9] = [
    &["log", "answer", "trace", "api_key", "webhook"],
    &["table"],
    &["services"],
    &["gate"],
    &["http"],
    &["dialect"],
    &["app"],
    &["work"],
    &["serve"],
];

/// The functions of `lib.rs` for all floors: the clock and a lock.
const FOUNDATION: [&str; 2] = ["now", "lock"];

/// The packages that `domain` may use: none knows HTTP, AWS, a clock or a random number.
const PURE: [&str; 11] =
    ["core", "std", "crate", "super", "ipnet", "serde", "serde_json", "sha2", "time", "uuid", "Self"];
/// The packages that only tests use.
const PURE_BY_FEATURE: [&str; 1] = ["schemars"];
/// The parts of `std` that are not pure.
const IMPURE: [&str; 8] =
    ["std::net", "std::fs", "std::env", "std::process", "SystemTime", "Instant", "std::io", "async "];

/// The most lines of a file without a reason at its top.
const MAX_LINES: usize = 400;

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display())) {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(rust_files(&path)),
            false => files.extend((path.extension().is_some_and(|it| it == "rs")).then_some(path)),
        }
    }
    files.sort();
    files
}

/// The code of a file without its comments and its unit tests.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The paths in the code that begin with `start`, such as `http::call::Call` after `crate::`. Braces are resolved: each path is
/// there by itself.
fn paths_after(code: &str, start: &str) -> BTreeSet<String> {
    let is_part = |it: char| it.is_alphanumeric() || it == '_';
    let mut paths = BTreeSet::new();
    for (at, _) in code.match_indices(start) {
        if code[..at].ends_with(|it| is_part(it) || it == ':') {
            continue;
        }
        // The path before each open brace.
        let (mut before, mut path) = (Vec::<String>::new(), String::new());
        for it in code[at + start.len()..].chars() {
            match it {
                '{' => before.push(std::mem::take(&mut path)),
                _ if is_part(it) || it == ':' => path.push(it),
                ',' | '}' if !before.is_empty() => {
                    paths.insert(before.concat() + &std::mem::take(&mut path));
                    if it == '}' {
                        before.pop();
                    }
                }
                _ if it.is_whitespace() && !before.is_empty() => {}
                _ => break,
            }
            if before.is_empty() && it == '}' {
                break;
            }
        }
        paths.insert(path);
    }
    paths.into_iter().filter(|path| !path.is_empty()).collect()
}

fn first(path: &str) -> &str {
    path.split("::").next().unwrap_or_default()
}

/// The folder or file of the first level that a file belongs to.
fn module(root: &Path, file: &Path) -> String {
    let first = file.strip_prefix(root).unwrap().components().next().unwrap();
    first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// The imports of `shared/src` from floors that are not below the file's own.
fn upward(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for file in rust_files(root) {
        let own = module(root, &file);
        if own == "lib" {
            continue;
        }
        let level = floor(&own).unwrap_or_else(|| panic!("{}: give `{own}` a floor here", file.display()));
        for path in paths_after(&code(&file), "crate::") {
            let used = first(&path);
            if used != own && !FOUNDATION.contains(&used) && floor(used).is_none_or(|below| below >= level) {
                found.push(format!("{}: crate::{path}", file.display()));
            }
        }
    }
    found
}

#[test]
fn no_file_of_shared_uses_what_stands_above_it() {
    let root = find_root().unwrap().join("shared/src");
    assert_eq!(upward(&root), Vec::<String>::new());

    // The check sees an import that runs back up, whatever its form.
    let wrong = tempfile::tempdir().unwrap();
    for (name, code, is_wrong) in [
        ("table.rs", "use crate::gate::Plan;", true),
        ("gate.rs", "use crate::{\n    answer::Answer,\n    http::{call, json},\n};", true),
        ("http.rs", "fn f() -> crate::dialect::X { todo!() }", true),
        ("log.rs", "use crate::answer::Answer;", true),
        ("app.rs", "use crate::table::Table; use crate::now; // crate::serve", false),
        ("dialect.rs", "use crate::http::{Dialect, json}; #[cfg(test)]\nmod tests { use crate::serve; }", false),
    ] {
        let file = wrong.path().join(name);
        fs::write(&file, code).unwrap();
        assert_eq!(!upward(wrong.path()).is_empty(), is_wrong, "{code}");
        fs::remove_file(file).unwrap();
    }
}

/// A circle of imports among files, if there is one.
fn circle(imports: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn walk(at: &str, way: &mut Vec<String>, imports: &BTreeMap<String, BTreeSet<String>>) -> bool {
        if let Some(start) = way.iter().position(|known| known == at) {
            way.drain(..start);
            return true;
        }
        way.push(at.to_owned());
        if imports.get(at).into_iter().flatten().any(|next| walk(next, way, imports)) {
            return true;
        }
        way.pop();
        false
    }
    let mut way = Vec::new();
    imports.keys().any(|file| walk(file, &mut way, imports)).then_some(way)
}

#[test]
fn the_domain_is_pure_and_has_no_circle_of_imports() {
    let root = find_root().unwrap().join("shared/domain/src");
    let name = |file: &Path| {
        let path = file.strip_prefix(&root).unwrap().with_extension("");
        path.components().map(|it| it.as_os_str().to_str().unwrap().to_owned()).collect::<Vec<_>>().join("::")
    };
    let files: Vec<PathBuf> = rust_files(&root).into_iter().filter(|file| name(file) != "lib").collect();
    let names: BTreeSet<String> = files.iter().map(|file| name(file)).collect();
    // The file that a path leads to: the longest part of it that names one.
    let file_of = |path: &str| -> Option<String> {
        let mut path = path;
        loop {
            if names.contains(path) {
                return Some(path.to_owned());
            }
            path = path.rsplit_once("::")?.0;
        }
    };
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in &files {
        let (code, own) = (code(file), name(file));
        let mut used: BTreeSet<String> = paths_after(&code, "crate::");
        let parent = own.rsplit_once("::").map_or("", |(parent, _)| parent);
        used.extend(paths_after(&code, "super::").into_iter().map(|path| format!("{parent}::{path}")));
        for path in paths_after(&code, "use ") {
            let package = first(&path);
            // A module of the file's own.
            let is_own = names.contains(&format!("{own}::{package}"));
            used.extend(is_own.then(|| format!("{own}::{path}")));
            let is_pure = PURE.contains(&package) || PURE_BY_FEATURE.contains(&package);
            assert!(is_own || is_pure, "{}: `{path}` is none of {PURE:?}", file.display());
        }
        for impure in IMPURE {
            assert!(!code.contains(impure), "{}: `{impure}` is not for the domain", file.display());
        }
        let used = used.iter().filter_map(|path| file_of(path)).filter(|used| *used != own).collect();
        imports.insert(own, used);
    }
    assert_eq!(circle(&imports), None);
    assert!(imports["record"].contains("policy") && imports["policy"].contains("policy::eval"), "{imports:?}");

    // The check sees a circle.
    imports.get_mut("id").unwrap().insert("event".to_owned());
    assert!(circle(&imports).is_some());
}

/// The stranger's check: the places of an endpoint, and those of a record. README.md, *Adding an endpoint*, lists the same places.
#[test]
fn an_endpoint_and_a_record_have_few_places() {
    let root = find_root().unwrap();
    let template = Template::load(&root.join("template.yaml")).unwrap();
    let sources = ["shared", "local/src", "bench/src"].into_iter().flat_map(|folder| rust_files(&root.join(folder)));
    let is_test = |file: &PathBuf| file.with_extension("").components().any(|it| it.as_os_str() == "tests");
    for file in sources.filter(|file| !is_test(file)) {
        let code = code(&file);
        // Lambda calls the binary of every function `bootstrap`, too.
        let mut others = template.functions.iter().filter(|function| function.name != "bootstrap");
        let named = others.find(|function| code.contains(&format!("\"{}\"", function.name)));
        // The benchmark measures some and leaves one out, and the operator's command runs two.
        let may_name =
            ["bench/src/subjects.rs", "bench/src/bed.rs", "local/src/bootstrap.rs"].iter().any(|it| file.ends_with(it));
        assert!(named.is_none() || may_name, "{}: names {:?}", file.display(), named.map(|it| &it.name));
    }

    // A role: its own files, the catalog that it belongs to, its storage, the facts and plans of a request, its lists, its wire
    // types.
    let is_word = |it: char| it.is_alphanumeric() || it == '_';
    let names_role = |file: &PathBuf| code(file).split(|it| !is_word(it)).any(|word| word == "Role");
    let files = [root.join("shared/domain/src"), root.join("shared/src")].map(|folder| rust_files(&folder)).concat();
    let found: BTreeSet<String> = files
        .iter()
        .filter(|it| !is_test(it) && names_role(it))
        .map(|it| it.strip_prefix(&root).unwrap().display().to_string())
        .collect();
    let places = ["domain/src/role.rs", "domain/src/role/change.rs", "domain/src/catalog.rs", "domain/src/lib.rs"];
    let storage = ["src/table/stored.rs", "src/table/key.rs", "src/gate/facts.rs", "src/gate/plan.rs"];
    let lists = ["src/gate/list/known.rs", "src/gate/list/tenants.rs"];
    let dialects =
        ["users", "users/things", "organization", "tenant", "directory"].map(|name| format!("src/dialect/{name}.rs"));
    // The work that goes on after an answer.
    let jobs = ["src/gate/deletion.rs", "src/gate/jobs.rs", "src/gate/removal.rs"];
    let places = places.into_iter().chain(storage).chain(lists).chain(jobs).map(str::to_owned).chain(dialects);
    // A role is also a `Reference`, and a kind of id.
    let others = [
        "domain/src/id.rs",
        "domain/src/problem.rs",
        "domain/src/group/change.rs",
        "domain/src/member/change.rs",
        "src/dialect/directory/schema.rs",
        // An API key has roles.
        "domain/src/api_key.rs",
        // A question can be about a role.
        "domain/src/policy/question.rs",
        "src/gate/decisions.rs",
        "src/dialect/users/check.rs",
        // The record is one of roles, too.
        "src/gate/events/verify.rs",
        "src/dialect/users/event.rs",
        // A webhook hears of roles, too.
        "src/dialect/users/webhook.rs",
        // People who join by a domain get roles.
        "domain/src/claimed_domain.rs",
        // A draft of a policy is tried on changes of roles.
        "domain/src/draft.rs",
        "domain/src/draft/past.rs",
        "src/gate/policies/past.rs",
        "src/dialect/directory/invites.rs",
        // A line of an export names roles.
        "src/dialect/users/lines.rs",
    ];
    let others = others.map(str::to_owned);
    let expected = places.chain(others).map(|place| format!("shared/{place}")).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_long_file_says_why() {
    let root = find_root().unwrap();
    let long = ["shared", "local"].into_iter().flat_map(|folder| rust_files(&root.join(folder)));
    let unexplained = long.filter(|file| {
        let text = fs::read_to_string(file).unwrap();
        let head = text.lines().take_while(|line| line.starts_with("//!") || line.is_empty());
        text.lines().count() > MAX_LINES && !head.collect::<String>().contains("Long, since")
    });
    assert_eq!(unexplained.collect::<Vec<_>>(), Vec::<PathBuf>::new(), "split it, or write `Long, since …` at its top");
}

/// Functions are compiled against `shared` without the feature that opens the table.
#[test]
fn no_function_can_reach_the_table() {
    let (root, template) = (find_root().unwrap(), Template::load(&find_root().unwrap().join("template.yaml")).unwrap());
    for function in &template.functions {
        let manifest = fs::read_to_string(root.join("functions").join(&function.name).join("Cargo.toml")).unwrap();
        let on_shared = manifest.lines().filter(|line| line.starts_with("shared"));
        assert_eq!(on_shared.collect::<Vec<_>>(), ["shared.workspace = true"], "{}", function.name);
    }
    let mut cargo = functions::cargo();
    // So one function stands for all of them, and nothing of it is linked.
    cargo.args(["check", "--quiet", "--message-format", "json", "--package", &template.functions[0].name]);
    let output = cargo.current_dir(&root).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let messages = String::from_utf8(output.stdout).unwrap();
    let artifacts = messages.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut library = artifacts.filter(|it| it["reason"] == "compiler-artifact" && it["target"]["name"] == "shared");
    let library = PathBuf::from(library.next_back().unwrap()["filenames"][0].as_str().unwrap());

    let folder = tempfile::tempdir().unwrap();
    // The codes of the errors that a function with this code gets.
    let errors = |code: &str| -> BTreeSet<String> {
        let file = folder.path().join("function.rs");
        fs::write(&file, code).unwrap();
        let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        rustc.args(["--edition", "2024", "--crate-type", "lib", "--emit", "metadata", "--error-format", "json"]);
        rustc.arg("--out-dir").arg(folder.path()).arg("-L").arg(library.parent().unwrap());
        rustc.arg("--extern").arg(format!("shared={}", library.display())).arg(&file);
        let output = rustc.output().unwrap();
        let messages = String::from_utf8(output.stderr).unwrap();
        let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let messages: Vec<Value> = messages.filter(|it| it["level"] == "error").collect();
        let codes = messages.iter().filter_map(|it| it["code"]["code"].as_str().map(str::to_owned)).collect();
        assert_eq!(output.status.success(), messages.is_empty(), "{messages:?}");
        codes
    };
    for (error, code) in WALLS {
        let expected: BTreeSet<String> = error.iter().map(|it| (*it).to_owned()).collect();
        assert_eq!(errors(code), expected, "{code}");
    }
}

/// Code of a function, and the compiler's errors for it.
const WALLS: [(&[&str], &str); 10] = [
    // This one compiles, so the others do not fail for another reason.
    (
        &[],
        "use shared::{Answer, App, Call, Problem, Reads};
         pub async fn show(app: &App, call: &Call) -> Result<Answer, Problem> {
             let caller = app.bearer(call).await?;
             app.read(call, &caller, Reads::member(Some(caller.user()?)), &|reading| {
                 let view = reading.see(reading.facts().member(None)?)?;
                 Ok(Answer::empty(204).with_etag(view.version()))
             }).await
         }",
    ),
    // The table, its keys and its transactions are private.
    (&["E0603"], "use shared::table::Transaction;"),
    (&["E0603"], "use shared::table::key::{Key, TenantKeys};"),
    (&["E0603"], "use shared::table::stored::Stored;"),
    // The methods of `App` and `Caller` that lead to them are private, too.
    (&["E0624"], "pub fn table(app: &shared::App, call: &shared::Call) { app.table(call); }"),
    (&["E0624"], "pub fn keys(caller: &shared::gate::Caller) { caller.keys(); }"),
    // Nobody is a caller without a credential.
    (&["E0624"], "pub fn caller() { shared::gate::Caller::new; }"),
    // A function cannot show a member without a decision.
    (
        &["E0616"],
        "pub fn peek(member: shared::gate::Unseen<shared::domain::Member>) -> String { member.0.email.clone() }",
    ),
    (
        &["E0451"],
        "pub fn view<'a>(tenant: &'a shared::domain::Tenant, member: &'a shared::domain::Member, \
         catalog: &'a shared::domain::Catalog, names: &'a shared::domain::Names) -> shared::View<'a> { \
         shared::View { tenant, member, catalog, names, picture: None } }",
    ),
    // A function can neither make nor write an allowed change by hand.
    (&["E0603"], "use shared::gate::plan::Allowed;"),
];
