//! The subjects of the measurements: our function, and three peers that do the same or less.

use std::ffi::OsStr;
use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use local::template::Function;
use local::{Result, Template, functions, template};
use zip::write::SimpleFileOptions;

use crate::bed::Bed;

/// The function that is measured beside peers that do the same.
pub const UPDATE: &str = "tenant-update-user-role";
/// The function that decides.
pub const CHECK: &str = "check";
/// The authorities that boto3 trusts by default.
const BOTOCORE_ROOTS: &str = "boto3/botocore/cacert.pem";

/// Our function, after its build.
pub struct Ours {
    pub template: Template,
    pub function: Function,
    pub bin_dir: PathBuf,
}

/// One of the programs that are measured.
pub struct Subject {
    pub name: String,
    pub does: &'static str,
    /// Whether it verifies tokens.
    pub verifies: bool,
    /// The runtime, if it is not part of the deployed file.
    pub version: Option<String>,
    program: PathBuf,
    arguments: Vec<String>,
    handler: &'static str,
    /// The folder of the deployed files.
    task_root: PathBuf,
    variables: Vec<(&'static str, String)>,
    /// The variable that names a file of trusted authorities, and the authorities that are trusted without it.
    trust: (&'static str, Vec<u8>),
    /// The parts of the deployed files: their bytes in the zip file, and unpacked.
    pub sizes: Vec<(&'static str, [usize; 2])>,
}

impl Subject {
    /// Makes the command that starts the subject. Its variables are those that Lambda and the template set and those of the
    /// subject.
    pub fn command(&self, ours: &Ours, bed: &Bed) -> Result<tokio::process::Command> {
        let (variable, roots) = &self.trust;
        let authorities = bed.folder.path().join(format!("{}.pem", self.handler));
        let content = [roots, bed.tls.authority.as_bytes()].join(&b'\n');
        fs::write(&authorities, content).map_err(|error| format!("{}: {error}", authorities.display()))?;
        let mut command = functions::command(&self.program, &ours.function, "person", &self.task_root, &bed.tls.url);
        command.args(&self.arguments).env("_HANDLER", self.handler).env(variable, authorities).env("JWK", &bed.jwk);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }
}

/// Builds one of our functions as it is deployed.
pub fn ours(name: &str) -> Result<Ours> {
    let root = template::find_root()?;
    let mut template = Template::load(&root.join("template.yaml"))?;
    // The embedded engine reads a whole stream for each write, and a whole table for each sweep of expired items. DynamoDB's
    // callers pay for neither.
    template.time_to_live = None;
    if let Some(table) = template.table.as_object_mut() {
        table.remove("StreamSpecification");
    }
    let function = template.function(name).ok_or_else(|| format!("no function `{name}` in template.yaml"))?.clone();
    let bin_dir = functions::build(&root, [name], true)?;
    Ok(Ours { template, function, bin_dir })
}

/// Returns our function, other builds of it, and the peers, with the Rust one or without. It builds the peers in a folder beside that
/// of our function.
pub fn all(ours: &Ours, builds: &[PathBuf], without_rust: bool) -> Result<Vec<Subject>> {
    let peers = template::find_root()?.join("bench/peers");
    let folder = ours.bin_dir.with_file_name("bench");
    let [of_rust, of_node, of_python] = ["rust", "node", "python"].map(|name| (peers.join(name), folder.join(name)));
    let mut subjects = vec![subject(ours)?];
    for (number, build) in builds.iter().enumerate() {
        let name = format!("`{}`", build.display());
        let other = build_of(ours, build, &format!("build-{number}"))?;
        subjects.push(Subject { name, does: "another build of it", ..other });
    }
    if !without_rust {
        subjects.push(rust(&of_rust.0, &of_rust.1)?);
    }
    subjects.push(node(&of_node.0, &of_node.1)?);
    subjects.push(python(&of_python.0, &of_python.1)?);
    Ok(subjects)
}

/// Returns our function.
pub fn subject(ours: &Ours) -> Result<Subject> {
    build_of(ours, &ours.bin_dir.join(&ours.function.name), &ours.function.name)
}

fn build_of(ours: &Ours, built: &Path, folder: &str) -> Result<Subject> {
    let task_root = ours.bin_dir.with_file_name("bench").join(folder);
    let program = unpacked(built, &task_root)?;
    Ok(Subject {
        name: "**Rolecall**".to_owned(),
        does: "`tenant-update-user-role` as it is, with all that it checks, and its audit event",
        verifies: true,
        version: None,
        sizes: vec![("all of it", zipped(&[("bootstrap".into(), program.clone())])?)],
        program,
        arguments: vec![],
        handler: "bootstrap",
        task_root,
        variables: vec![],
        trust: ("AWS_CA_BUNDLE", vec![]),
    })
}

/// Copies a program to the folder of its runs, as Lambda unpacks it. A start from the linker's own file takes a fifth more
/// time.
fn unpacked(built: &Path, task_root: &Path) -> Result<PathBuf> {
    let program = task_root.join("bootstrap");
    let copied = fs::create_dir_all(task_root).and_then(|()| fs::copy(built, &program));
    copied.map_err(|error| format!("{} to {}: {error}", built.display(), program.display()))?;
    Ok(program)
}

fn rust(source: &Path, folder: &Path) -> Result<Subject> {
    let mut cargo = functions::cargo();
    cargo.args(["build", "--release", "--locked", "--target-dir"]).arg(folder).current_dir(source);
    run(&mut cargo)?;
    let task_root = folder.join("unpacked");
    let program = unpacked(&folder.join("release/bootstrap"), &task_root)?;
    let roots = openssl_probe::probe()
        .cert_file
        .ok_or_else(|| "this machine has no list of authorities: install ca-certificates".to_string())?;
    Ok(Subject {
        name: "Rust, SDK defaults".to_owned(),
        does: "`lambda_http` and `aws-sdk-dynamodb` with their default features; one conditional update, no JWT, no read",
        verifies: false,
        version: None,
        sizes: vec![("all of it", zipped(&[("bootstrap".into(), program.clone())])?)],
        program,
        arguments: vec![],
        handler: "default",
        task_root,
        variables: vec![],
        trust: ("SSL_CERT_FILE", read(&roots)?),
    })
}

fn node(source: &Path, folder: &Path) -> Result<Subject> {
    let node = output(Command::new("node").args(["--print", "`${process.version} ${process.execPath}`"]))?;
    let (version, program) = node.split_once(' ').unwrap_or_default();
    once(source, folder, &["package.json", "package-lock.json", "index.mjs", "runtime.mjs"], |fresh| {
        run(Command::new("npm").args(["ci", "--silent", "--no-audit", "--no-fund"]).current_dir(fresh))?;
        run(Command::new("npm").args(["run", "--silent", "build"]).current_dir(fresh))
    })?;
    let task_root = folder.join("dist");
    Ok(Subject {
        name: "Node".to_owned(),
        does: "`@aws-sdk/client-dynamodb` and `jose` in one file by esbuild; the JWT, two reads at once, one conditional update",
        verifies: true,
        version: Some(format!("Node {version}")),
        program: program.into(),
        arguments: vec![folder.join("runtime.mjs").display().to_string()],
        handler: "index.handler",
        sizes: vec![("with the SDK", zipped(&files(&task_root)?)?)],
        task_root,
        variables: vec![],
        trust: ("NODE_EXTRA_CA_CERTS", vec![]),
    })
}

/// A Python program that runs AWS's client of the Runtime API. The client itself puts the scheme before the address.
const AWSLAMBDARIC: &str = "import os, runpy; \
    os.environ['AWS_LAMBDA_RUNTIME_API'] = os.environ['AWS_LAMBDA_RUNTIME_API'].removeprefix('http://'); \
    runpy.run_module('awslambdaric', run_name='__main__', alter_sys=True)";

fn python(source: &Path, folder: &Path) -> Result<Subject> {
    let asks = "import platform, sys; print(platform.python_version(), sys.executable)";
    let python = ["python3.11", "python3"].map(|name| output(Command::new(name).args(["-c", asks])));
    let [exact, other] = python;
    let python = exact.or(other)?;
    let (version, program) = python.split_once(' ').unwrap_or_default();
    once(source, folder, &["handler.py", "requirements.txt", "boto3.txt", "runtime.txt"], |fresh| {
        for (list, target) in [("requirements.txt", "package"), ("boto3.txt", "boto3"), ("runtime.txt", "runtime")] {
            let mut pip = Command::new(program);
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]);
            run(pip.args(["--target", target, "--requirement", list]).current_dir(fresh))?;
        }
        let handler = fs::rename(fresh.join("handler.py"), fresh.join("package/handler.py"));
        handler.map_err(|error| format!("{}: {error}", fresh.display()).into())
    })?;
    let [task_root, boto3, runtime] = ["package", "boto3", "runtime"].map(|name| folder.join(name));
    let package = files(&task_root)?;
    let with_sdk = [package.clone(), files(&boto3)?].concat();
    Ok(Subject {
        name: "Python".to_owned(),
        does: "`boto3` and `PyJWT`; the JWT, two reads, one conditional update",
        verifies: true,
        version: Some(format!("Python {version}")),
        program: program.into(),
        arguments: ["-c", AWSLAMBDARIC, "handler.handler"].map(String::from).into(),
        handler: "handler.handler",
        task_root,
        variables: vec![("PYTHONPATH", format!("{}:{}", boto3.display(), runtime.display()))],
        trust: ("AWS_CA_BUNDLE", read(&folder.join(BOTOCORE_ROOTS))?),
        sizes: vec![("with Lambda's boto3", zipped(&package)?), ("with a boto3 of its own", zipped(&with_sdk)?)],
    })
}

/// Cerbos, a decision point, from npm: its program for Linux on x86-64, and the folder of its policies.
pub fn cerbos() -> Result<(PathBuf, PathBuf)> {
    let root = template::find_root()?;
    let (source, folder) = (root.join("bench/peers/cerbos"), root.join("target/bench/cerbos"));
    once(&source, &folder, &["package.json", "package-lock.json"], |fresh| {
        run(Command::new("npm").args(["ci", "--silent", "--no-audit", "--no-fund"]).current_dir(fresh))
    })?;
    // Not the script beside it, which would be another process than the one that is measured.
    Ok((folder.join("node_modules/@cerbos/cerbos-linux-x64/cerbos-linux-x64"), source.join("policies")))
}

/// Copies sources into a folder and builds them with `make`, unless the last build was of the same sources.
fn once(source: &Path, folder: &Path, names: &[&str], make: impl Fn(&Path) -> Result<()>) -> Result<()> {
    let sources: Vec<_> = names.iter().map(|name| Ok((name, read(&source.join(name))?))).collect::<Result<_>>()?;
    let made_of: Vec<u8> = sources.iter().flat_map(|(_, content)| content).copied().collect();
    let stamp = folder.join("made-of");
    if fs::read(&stamp).is_ok_and(|stamp| stamp == made_of) {
        return Ok(());
    }
    let cannot = |error: std::io::Error| format!("{}: {error}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(cannot)?;
    }
    fs::create_dir_all(folder).map_err(cannot)?;
    for (name, content) in &sources {
        fs::write(folder.join(name), content).map_err(cannot)?;
    }
    make(folder)?;
    fs::write(stamp, made_of).map_err(|error| cannot(error).into())
}

/// Lists the files below a folder by their paths in it, in order, without the files that Python leaves behind when it runs.
fn files(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let entries = fs::read_dir(&next).and_then(|entries| entries.collect::<std::io::Result<Vec<_>>>());
        for entry in entries.map_err(|error| format!("{}: {error}", next.display()))? {
            let path = entry.path();
            match path.is_dir() {
                true if path.file_name() == Some(OsStr::new("__pycache__")) => {}
                true => folders.push(path),
                false => found.push((path.strip_prefix(folder).unwrap_or(&path).display().to_string(), path)),
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Returns the bytes that files take in a zip file, and by themselves.
pub fn zipped(files: &[(String, PathBuf)]) -> Result<[usize; 2]> {
    let mut unpacked = 0;
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, path) in files {
        let content = read(path)?;
        unpacked += content.len();
        archive.start_file(name, SimpleFileOptions::default()).map_err(|error| format!("{name}: {error}"))?;
        archive.write_all(&content).map_err(|error| format!("{name}: {error}"))?;
    }
    let archive = archive.finish().map_err(|error| format!("a zip file: {error}"))?;
    Ok([archive.into_inner().len(), unpacked])
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).map_err(|error| format!("{}: {error}", file.display()).into())
}

/// Runs a command. Its output goes to stderr.
fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().display().to_string();
    let status = command.stdout(std::io::stderr()).status().map_err(|error| missing(&name, &error))?;
    if status.success() { Ok(()) } else { Err(format!("`{name}` failed: {status}").into()) }
}

/// Runs a command, and returns its output.
///
/// # Errors
/// The command cannot be run, or fails.
pub fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().display().to_string();
    let output = command.output().map_err(|error| missing(&name, &error))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => Err(format!("`{name}` failed: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

fn missing(program: &str, error: &std::io::Error) -> String {
    format!("cannot run `{program}`, which the benchmark needs: {error}")
}
