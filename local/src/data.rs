//! The database of the embedded engine, and the folder that `--data` names. Only its owner may read the files in it, because they
//! hold the key that signs tokens.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use rusqlite::{Connection, OpenFlags};

use crate::Result;

const DATABASE: &str = "rolecall.db";
const LOCK: &str = "lock";

/// Makes the folder and the database's file if they do not exist, and keeps everybody else out of them. Returns the path of the
/// file, and the lock: no other gateway uses the folder while the caller holds it.
///
/// # Errors
///
/// The folder cannot be used, others have rights to it, another gateway uses it, or the file in it is not a database of ours.
/// Such a file stays as it is.
pub(crate) fn open(folder: &Path) -> Result<(String, fs::File)> {
    let cannot = |path: &Path, error: io::Error| format!("--data: cannot use {}: {error}", path.display());
    let path = folder.join(DATABASE);
    let text = path.to_str().ok_or_else(|| format!("--data: {} is not UTF-8", path.display()))?;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    let rights = made.and_then(|()| fs::metadata(folder)).map_err(|error| cannot(folder, error))?.permissions().mode();
    // The code does not change the rights of this folder: it may be a home or /tmp, and others decide about those.
    if rights & 0o077 != 0 {
        let folder = folder.display();
        return Err(format!(
            "--data: others may use {folder}, where the key that signs tokens is kept: run `chmod 700 {folder}`, or name a \
             folder that does not exist yet"
        )
        .into());
    }

    let lock = private(&folder.join(LOCK)).map_err(|error| cannot(&folder.join(LOCK), error))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => {
            return Err(format!("--data: {} is in use by another gateway", folder.display()).into());
        }
        Err(fs::TryLockError::Error(error)) => return Err(cannot(folder, error).into()),
    }

    // The database gives its other files the rights of this one.
    let file = private(&path).map_err(|error| cannot(&path, error))?;
    if file.metadata().is_ok_and(|file| file.len() > 0) && !is_ours(text) {
        let advice = "move it away, or name another folder with --data";
        return Err(format!("{text} is not a database of Rolecall: {advice}").into());
    }
    // Earlier versions made these files with wider rights.
    for name in [LOCK, DATABASE, "rolecall.db-wal", "rolecall.db-shm"] {
        let path = folder.join(name);
        match fs::set_permissions(&path, fs::Permissions::from_mode(0o600)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot(&path, error).into()),
            _ => {}
        }
    }
    Ok((text.to_owned(), lock))
}

/// Forgets the records of the table's stream that are older than a day, as DynamoDB does, and makes an index of the others. The
/// engine, which keeps all of them, would read each record for each write.
pub(crate) fn tend_stream(path: &str) -> rusqlite::Result<()> {
    Connection::open(path)?.execute_batch(
        "DELETE FROM _stream_records WHERE created_at < unixepoch() - 86400;
         CREATE INDEX IF NOT EXISTS rolecall_stream ON _stream_records (table_name, CAST(sequence_number AS INTEGER));",
    )
}

/// Opens a file and keeps its content, or makes an empty file that only its owner may use. It follows no link, because a link
/// could lead to any file.
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

/// Says whether the file is a database with the engine's tables, or without any tables. It only reads the file.
fn is_ours(path: &str) -> bool {
    let encoded = percent_encoding::utf8_percent_encode(path, percent_encoding::NON_ALPHANUMERIC);
    // After a crash, the whole content of a database may still be in its log. If there is no log, `immutable` keeps SQLite from
    // making files beside the one that it reads.
    let has_log = fs::metadata(format!("{path}-wal")).is_ok_and(|log| log.len() > 0);
    let uri = format!("file:{encoded}{}", if has_log { "" } else { "?immutable=1" });
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let tables = Connection::open_with_flags(uri, flags).and_then(|database| {
        let count = "SELECT count(*), count(*) FILTER (WHERE name IN ('_config', '_tables')) FROM sqlite_schema";
        database.query_row(count, [], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?)))
    });
    matches!(tables, Ok((0, _) | (_, 2)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Makes a folder that only its owner may use.
    fn folder() -> tempfile::TempDir {
        let rights = fs::Permissions::from_mode(0o700);
        tempfile::Builder::new().permissions(rights).tempdir().unwrap()
    }

    fn modes(folder: &Path) -> Vec<u32> {
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        [folder.to_owned(), folder.join(LOCK), folder.join(DATABASE)].iter().map(|path| mode(path)).collect()
    }

    #[test]
    fn only_the_owner_may_read_the_folder_and_its_files() {
        let parent = folder();
        let folder = parent.path().join("made/here");
        let (path, lock) = open(&folder).unwrap();
        assert_eq!(modes(&folder), [0o700, 0o600, 0o600]);
        let database = dynoxide::Database::new(&path).unwrap();
        for file in fs::read_dir(&folder).unwrap() {
            let file = file.unwrap();
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
        }
        drop((database, lock));

        // Opening narrows the rights of files that are wider.
        for name in [LOCK, DATABASE] {
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o644)).unwrap();
        }
        let (path, _lock) = open(&folder).unwrap();
        assert_eq!(modes(&folder), [0o700, 0o600, 0o600]);
        drop(dynoxide::Database::new(&path).unwrap());
    }

    #[test]
    fn a_folder_that_others_may_use_is_refused_and_left_as_it_is() {
        let folder = folder();
        for mode in [0o755, 0o710, 0o701, 0o1777] {
            fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
            let refused = open(folder.path()).unwrap_err().to_string();
            let path = folder.path().display();
            assert!(refused.starts_with(&format!("--data: others may use {path}, ")), "{refused}");
            assert!(refused.contains(&format!("`chmod 700 {path}`")), "{refused}");
            assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o7777, mode);
            assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        }
    }

    /// Copies the files of a database into a folder, while its last changes are only in its log.
    fn crash(database: &Path, folder: &Path) -> [Vec<u8>; 2] {
        let suffixes = ["", "-wal"].map(|suffix| {
            let copy = folder.join(format!("{DATABASE}{suffix}"));
            fs::copy(format!("{}{suffix}", database.display()), &copy).unwrap();
            fs::read(copy).unwrap()
        });
        assert!(suffixes.iter().all(|bytes| !bytes.is_empty()));
        suffixes
    }

    #[test]
    fn a_database_is_known_by_what_is_in_its_log_too() {
        let (source, ours, foreign) = (folder(), folder(), folder());
        let path = source.path().join("ours.db");
        let database = dynoxide::Database::new(path.to_str().unwrap()).unwrap();
        crash(&path, ours.path());
        open(ours.path()).unwrap();
        drop(database);

        let path = source.path().join("foreign.db");
        let database = Connection::open(&path).unwrap();
        database.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE notes (body TEXT);").unwrap();
        let before = crash(&path, foreign.path());
        let refused = open(foreign.path()).unwrap_err().to_string();
        assert!(refused.contains("is not a database of Rolecall"), "{refused}");
        let after = ["", "-wal"].map(|suffix| fs::read(foreign.path().join(format!("{DATABASE}{suffix}"))).unwrap());
        assert_eq!(after, before);
    }

    #[test]
    fn a_lock_is_neither_emptied_nor_followed() {
        let folder = folder();
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
        let folder = folder();
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
