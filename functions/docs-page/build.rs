//! Makes the files that the page loads: gzipped, and with the hash of their content, so that browsers may keep them for good.

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// Parts of the script that would break the page's content security policy or write to the console, and their replacements.
const EDITS: [(&str, &str); 5] = [
    // The policy forbids style attributes. Scripts may set the same styles.
    ("e.setAttribute(`style`,`width:30px;", "(e.style.cssText=`width:30px;"),
    ("t.setAttribute(`style`,`width:100%;", "(t.style.cssText=`width:100%;"),
    // The same in the markup of highlighted code. `start.js` sets the number of digits of a line's number.
    ("` style=\"--line-count: ${s}; --line-digits: ${s.toString().length};\"`", "``"),
    // A test of whether `eval` is allowed.
    ("try{return Function(``),!0}catch{return!1}", "return!1"),
    ("typeof window<`u`&&console.info(`@scalar/api-reference@1.76.4`);", ""),
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/start.js");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let scalar = scalar_api_reference::get_asset("scalar.js").ok_or("scalar_api_reference has no scalar.js")?;
    let mut scalar = String::from_utf8(scalar)?;
    for (old, new) in EDITS {
        if scalar.matches(old).count() != 1 {
            return Err(format!("scalar.js has not one `{old}`: bring EDITS in line with its version").into());
        }
        scalar = scalar.replace(old, new);
    }
    let files = [file("scalar.js", scalar.as_bytes(), &out)?, file("start.js", &fs::read("src/start.js")?, &out)?];
    fs::write(out.join("files.rs"), format!("[{}]", files.join(", ")))?;
    Ok(())
}

/// Writes a script, and returns the expression of its name, its hash and its content.
fn file(name: &str, script: &[u8], out: &Path) -> Result<String, Box<dyn Error>> {
    let hash: String = Sha256::digest(script).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(script)?;
    let path = out.join(format!("{name}.gz"));
    fs::write(&path, gzip.finish()?)?;
    Ok(format!("(\"{name}\", \"{hash}\", include_bytes!({path:?}))"))
}
