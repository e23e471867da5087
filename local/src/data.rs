//! The folder that `--data` names: only its owner may read what is in it, since the key that signs tokens is.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use rusqlite::{Connection, OpenFlags};

use crate::Result;

const DATABASE: &str = "rolecall.db";
const LOCK: &str = "lock";

/// Makes the folder and the database's file as far as they are not there, and keeps everybody else out of them. Returns the
/// path of the file, and the lock: no other gateway uses the folder while it is held.
///
/// # Errors
///
/// The folder cannot be used, another gateway uses it, or the file in it is no database of ours. Nothing is changed then.
pub(crate) fn open(folder: &Path) -> Result<(String, fs::File)> {
    let cannot = |path: &Path, why: String| format!("--data: cannot use {}: {why}", path.display());
    let make = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    make.map_err(|error| cannot(folder, error.to_string()))?;

    let lock = private(&folder.join(LOCK)).map_err(|error| cannot(&folder.join(LOCK), error.to_string()))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => {
            return Err(format!("--data: {} is in use by another gateway", folder.display()).into());
        }
        Err(fs::TryLockError::Error(error)) => return Err(cannot(folder, error.to_string()).into()),
    }

    let path = folder.join(DATABASE);
    let text = path.to_str().ok_or_else(|| format!("{}: not UTF-8", path.display()))?;
    // The database makes its other files with the rights of this one.
    let file = private(&path).map_err(|error| cannot(&path, error.to_string()))?;
    if file.metadata().is_ok_and(|file| file.len() > 0) && !is_ours(text) {
        let advice = "move it away, or name another folder with --data";
        return Err(format!("{text} is not a database of Rolecall: {advice}").into());
    }
    let narrow = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    narrow(folder, 0o700).map_err(|error| cannot(folder, error.to_string()))?;
    for name in [LOCK, DATABASE, "rolecall.db-wal", "rolecall.db-shm"] {
        let path = folder.join(name);
        match narrow(&path, 0o600) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(cannot(&path, error.to_string()).into());
            }
            _ => {}
        }
    }
    Ok((text.to_owned(), lock))
}

/// Opens a file as it is, or makes an empty one that only its owner may use. It follows no link: that could lead to any file.
fn private(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    let file = options.open(path).map_err(|error| match error.raw_os_error() {
        Some(libc::ELOOP) => io::Error::other("it is a link"),
        _ => error,
    })?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no file")),
    }
}

/// Whether the file is a database with the engine's tables, or without any. It is only read.
fn is_ours(path: &str) -> bool {
    let encoded = percent_encoding::utf8_percent_encode(path, percent_encoding::NON_ALPHANUMERIC);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let tables = Connection::open_with_flags(format!("file:{encoded}?immutable=1"), flags).and_then(|database| {
        let count = "SELECT count(*), count(*) FILTER (WHERE name IN ('_config', '_tables')) FROM sqlite_schema";
        database.query_row(count, [], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?)))
    });
    matches!(tables, Ok((0, _) | (_, 2)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn modes(folder: &Path) -> Vec<u32> {
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        [folder.to_owned(), folder.join(LOCK), folder.join(DATABASE)].iter().map(|path| mode(path)).collect()
    }

    #[test]
    fn only_the_owner_may_read_the_folder_and_its_files() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("made/here");
        let (path, lock) = open(&folder).unwrap();
        assert_eq!(modes(&folder), [0o700, 0o600, 0o600]);
        let database = dynoxide::Database::new(&path).unwrap();
        for file in fs::read_dir(&folder).unwrap() {
            let file = file.unwrap();
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
        }
        drop((database, lock));

        // One that was made wider is narrowed.
        for (path, mode) in [(folder.clone(), 0o755), (folder.join(LOCK), 0o644), (folder.join(DATABASE), 0o644)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        let (path, _lock) = open(&folder).unwrap();
        assert_eq!(modes(&folder), [0o700, 0o600, 0o600]);
        drop(dynoxide::Database::new(&path).unwrap());
    }

    #[test]
    fn a_lock_is_neither_emptied_nor_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (lock, other) = (folder.path().join(LOCK), folder.path().join("other"));
        fs::write(&lock, "kept").unwrap();
        drop(open(folder.path()).unwrap());
        assert_eq!(fs::read_to_string(&lock).unwrap(), "kept");

        fs::remove_file(&lock).unwrap();
        fs::write(&other, "kept").unwrap();
        symlink(&other, &lock).unwrap();
        let refused = open(folder.path()).unwrap_err().to_string();
        assert_eq!(refused, format!("--data: cannot use {}: it is a link", lock.display()));
        assert_eq!(fs::read_to_string(&other).unwrap(), "kept");
    }

    #[test]
    fn a_file_that_is_not_ours_is_named_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(DATABASE);
        let expected = format!(
            "{} is not a database of Rolecall: move it away, or name another folder with --data",
            path.display()
        );
        let refused = || open(folder.path()).unwrap_err().to_string();

        fs::write(&path, "no database at all, but long enough to be taken for one".repeat(100)).unwrap();
        let before = fs::read(&path).unwrap();
        assert_eq!(refused(), expected);
        assert_eq!(fs::read(&path).unwrap(), before);

        fs::remove_file(&path).unwrap();
        Connection::open(&path)
            .unwrap()
            .execute_batch("CREATE TABLE notes (body TEXT); INSERT INTO notes VALUES ('x');")
            .unwrap();
        let before = fs::read(&path).unwrap();
        assert_eq!(refused(), expected);
        assert_eq!(fs::read(&path).unwrap(), before);

        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(refused().starts_with(&format!("--data: cannot use {}: ", path.display())));
    }
}
