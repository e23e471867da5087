//! Compresses the document, which shrinks to a twelfth: once, and not for each request.

use std::error::Error;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::{env, fs};

use flate2::Compression;
use flate2::write::GzEncoder;

const DOCUMENT: &str = "../../openapi.json";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={DOCUMENT}");
    let file = File::create(PathBuf::from(env::var("OUT_DIR")?).join("openapi.json.gz"))?;
    let mut gzip = GzEncoder::new(file, Compression::best());
    gzip.write_all(&fs::read(DOCUMENT)?)?;
    Ok(io::Write::flush(&mut gzip.finish()?)?)
}
