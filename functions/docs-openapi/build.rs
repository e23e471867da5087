//! Compresses the document, which shrinks to a twelfth: once, and not for each request.

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::{env, fs};

use flate2::Compression;
use flate2::write::GzEncoder;

const DOCUMENT: &str = "../../openapi.json";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={DOCUMENT}");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(&fs::read(DOCUMENT)?)?;
    let path = PathBuf::from(env::var("OUT_DIR")?).join("openapi.json.gz");
    Ok(fs::write(path, gzip.finish()?)?)
}
