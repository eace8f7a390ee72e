//! A look at a Delta table: the commits since its last checkpoint, the checkpoint, and what both say
//! of other files (Delta's protocol, "Add File and Remove File", "Deletion Vector Format"). Delta's own
//! client reads the log and the deletion vectors, past DuckDB's fence.

use std::path::Path;

use super::json::{Document, Item};
use super::tables::{
    LogTable, Look, MAX_JSON_DEPTH, MAX_METADATA_BYTES, damaged, is_unsound, json_depth,
};
use super::{not_allowed, shown};
use crate::error::{Error, ErrorKind, Result};

/// What of a path in a log is looked at one by one.
const ODD_PATH: &str = "regexp_matches(p, '[?#:\\\\]|%|(^|/)\\.|^/')";

/// More digits than a floating-point number keeps: some writers round statistics to one.
const EXACT_DIGITS: u32 = 15;

/// Looks at a table; returns the columns whose statistics are not to be trusted (docs/upstream.md).
pub(super) fn look(look: &Look<'_>, table: &LogTable) -> Result<Vec<String>> {
    let folder = format!("{}/_delta_log", table.path.trim_end_matches('/'));
    let local = Path::new(table.path.strip_prefix("file://").unwrap_or(&table.path));
    let is_local = !table.path.contains("://") || table.path.starts_with("file://");
    if is_local && look.policy.sandboxed {
        check_links(look, table, local, &local.join("_delta_log"))?;
    }
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let version = table.option("version").and_then(|text| digits(text).parse::<u64>().ok());
    let files = look.list(&folder, "*")?;
    let log = Log::of(&files, version);
    if log.commits.is_empty() && log.checkpoints.is_empty() {
        return Err(Error::new(
            ErrorKind::Io,
            format!("No such file: \"{}\" is no Delta table", shown(&table.path)),
        ));
    }
    if is_local && look.policy.sandboxed {
        for file in log.commits.iter().chain(&log.checkpoints) {
            check_links(look, table, local, Path::new(file))?;
        }
    }
    let hint = format!("{folder}/_last_checkpoint");
    if files.contains(&hint)
        && look.text_of(&hint).is_some_and(|text| json_depth(&text) > MAX_JSON_DEPTH)
    {
        return Err(too_deep(table));
    }
    let mut schemas = vec![];
    for group in log.commits.chunks(64) {
        check_commits(look, table, group, &mut schemas)?;
    }
    let newest = schemas.last().cloned();
    let (parquet, json): (Vec<_>, Vec<_>) =
        log.checkpoints.into_iter().partition(|file| file.ends_with(".parquet"));
    check_commits(look, table, &json, &mut schemas)?;
    check_checkpoints(look, table, &folder, &parquet, &mut schemas)?;
    // A former schema may be without columns: some writers make tables so.
    if let Some(schema) = newest.as_ref().or(schemas.last())
        && Document::parse(schema).is_ok_and(|schema| is_unsound(schema.root()))
    {
        return Err(damaged(
            table,
            "its schema has no columns, a struct without fields, or too long a decimal",
        ));
    }
    let has_decimals = schemas.iter().any(|schema| schema.contains("decimal("));
    if table.reader != "delta_scan" || !has_decimals {
        return Ok(vec![]);
    }
    let digits = |kind: &str| -> Option<u32> {
        kind.strip_prefix("DECIMAL(")?.split_once(',')?.0.parse().ok()
    };
    let columns = look.columns(table)?.into_iter();
    Ok(columns
        .filter(|(_, kind)| digits(kind).is_some_and(|digits| digits > EXACT_DIGITS))
        .map(|(name, _)| name)
        .collect())
}

/// The files of a log that count for a version.
struct Log {
    commits: Vec<String>,
    checkpoints: Vec<String>,
}

impl Log {
    fn of(files: &[String], version: Option<u64>) -> Self {
        let mut found: Vec<(u64, bool, &String)> = vec![];
        for file in files {
            let name = file.rsplit('/').next().unwrap_or_default();
            let Some((digits, rest)) = name.split_once('.') else { continue };
            let Ok(number) = digits.parse::<u64>() else { continue };
            let is_checkpoint = rest.starts_with("checkpoint.");
            if is_checkpoint || rest.ends_with("json") || rest == "crc" {
                found.push((number, is_checkpoint, file));
            }
        }
        found.retain(|(number, ..)| version.is_none_or(|version| *number <= version));
        // Of several kinds of checkpoints that of a single file is whole when it is there.
        let last = found
            .iter()
            .filter(|(_, _, file)| file.ends_with(".checkpoint.parquet"))
            .map(|(number, ..)| *number)
            .max()
            .unwrap_or(0);
        let of = |checkpoints: bool| {
            let kept = found.iter().filter(|(n, is, _)| *n >= last && *is == checkpoints);
            kept.map(|(_, _, file)| (*file).clone()).collect()
        };
        Self { commits: of(false), checkpoints: of(true) }
    }
}

/// Refuses a local file to which a symbolic link leads that lies elsewhere.
fn check_links(look: &Look<'_>, table: &LogTable, root: &Path, file: &Path) -> Result<()> {
    let linked = file.strip_prefix(root).is_ok_and(|below| {
        let mut at = root.to_path_buf();
        below.components().any(|part| {
            at.push(part);
            at.is_symlink()
        })
    });
    if !linked && look.policy.leads_to_location(file) {
        return Ok(());
    }
    Err(not_allowed(format!(
        "a symbolic link in the log of table \"{}\" is not followed",
        shown(&table.path)
    )))
}

fn too_deep(table: &LogTable) -> Error {
    damaged(table, "its log is nested too deeply")
}

/// Checks files of actions, and gathers the schemas in them.
fn check_commits(
    look: &Look<'_>,
    table: &LogTable,
    files: &[String],
    schemas: &mut Vec<String>,
) -> Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    let list: Vec<_> = files.iter().map(|file| look.argument(file)).collect();
    let list = list.join(", ");
    let sizes = format!(
        "SELECT filename FROM read_blob([{list}]) WHERE size > {MAX_METADATA_BYTES} LIMIT 1"
    );
    if !look.rows(&sizes)?.is_empty() {
        return Err(Error::new(
            ErrorKind::NotSupported,
            format!("a commit of table \"{}\" is larger than can be looked at", shown(&table.path)),
        ));
    }
    let contents = look.rows(&format!("SELECT content FROM read_text([{list}])"))?;
    for line in contents.iter().flatten().flat_map(|content| content.lines()) {
        if json_depth(line) > MAX_JSON_DEPTH {
            return Err(too_deep(table));
        }
        // What is no JSON, the client says itself.
        let Ok(document) = Document::parse(line) else { continue };
        let root = document.root();
        if let Some(add) = root.get("add") {
            check_add(look, table, add)?;
        }
        let schema = root.get("metaData").and_then(|metadata| metadata.text("schemaString"));
        schemas.extend(schema.map(str::to_owned));
        if let Some(path) = root.get("sidecar").and_then(|sidecar| sidecar.text("path")) {
            check_relative(look, table, path)?;
        }
    }
    Ok(())
}

fn check_add(look: &Look<'_>, table: &LogTable, add: Item<'_, '_>) -> Result<()> {
    if let Some(path) = add.text("path") {
        check_relative(look, table, path)?;
    }
    let Some(vector) = add.get("deletionVector").filter(|vector| !vector.is_empty()) else {
        return Ok(());
    };
    let place = vector.text("pathOrInlineDv").unwrap_or_default();
    check_vector(look, table, vector.text("storageType").unwrap_or_default(), place)
}

/// A deletion vector: where it is, or what it is.
fn check_vector(look: &Look<'_>, table: &LogTable, kind: &str, place: &str) -> Result<()> {
    /// The encoded identifier at the end of a relative name.
    const ID_LENGTH: usize = 20;
    match kind {
        // Five characters for each four bytes: a magic number and the bitmap.
        "i" if place.len() >= 20 && place.len().is_multiple_of(5) && place.is_ascii() => Ok(()),
        "i" => Err(damaged(table, "an inline deletion vector is cut off")),
        "u" if place.len() >= ID_LENGTH && place.is_ascii() => {
            check_relative(look, table, &place[..place.len() - ID_LENGTH])
        }
        "u" => Err(damaged(table, "the name of a deletion vector is cut off")),
        "p" => look.check_place(table, place),
        _ => Err(damaged(table, "a deletion vector is of a kind that is not known")),
    }
}

/// A path below the table, percent-encoded, or an absolute one.
fn check_relative(look: &Look<'_>, table: &LogTable, path: &str) -> Result<()> {
    if path.contains("://") || path.starts_with('/') {
        return look.check_place(table, path);
    }
    look.check_place(table, &format!("{}/{path}", table.path.trim_end_matches('/')))
}

fn check_checkpoints(
    look: &Look<'_>,
    table: &LogTable,
    folder: &str,
    files: &[String],
    schemas: &mut Vec<String>,
) -> Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    let list: Vec<_> = files.iter().map(|file| look.argument(file)).collect();
    let from = format!("read_parquet([{}], union_by_name = true)", list.join(", "));
    let has = |column: &str| -> Result<bool> {
        let sql = format!("SELECT column_name FROM (DESCRIBE SELECT {column} FROM {from})");
        match look.rows(&sql) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Binder => Ok(false),
            Err(error) => Err(error),
        }
    };
    if has("metaData.schemaString")? {
        let sql = format!("SELECT metaData.schemaString FROM {from} WHERE metaData IS NOT NULL");
        schemas.extend(look.rows(&sql)?.into_iter().flatten());
    }
    if has("sidecar.path")? {
        let sql = format!("SELECT sidecar.path FROM {from} WHERE sidecar.path IS NOT NULL");
        let mut sidecars = vec![];
        for path in look.rows(&sql)?.into_iter().flatten() {
            if path.contains(['/', '\\', '?', '#', '%', ':']) || path.starts_with('.') {
                return Err(damaged(table, "a checkpoint names an odd file"));
            }
            sidecars.push(format!("{folder}/_sidecars/{path}"));
        }
        if !sidecars.is_empty() {
            return check_checkpoints(look, table, folder, &sidecars, schemas);
        }
    }
    if !has("add.path")? {
        return Ok(());
    }
    let sql = format!("SELECT p FROM (SELECT add.path AS p FROM {from}) WHERE {ODD_PATH}");
    for path in look.rows(&sql)?.into_iter().flatten() {
        check_relative(look, table, &path)?;
    }
    if !has("add.deletionVector.pathOrInlineDv")? {
        return Ok(());
    }
    // Relative ones that are not prefixed are like each other.
    let sql = format!(
        "SELECT DISTINCT kind, CASE WHEN kind = 'u' AND length(place) >= 20 \
         THEN left(place, -20) || repeat('0', 20) ELSE place END FROM \
         (SELECT add.deletionVector.storageType AS kind, \
         coalesce(add.deletionVector.pathOrInlineDv, '') AS place FROM {from}) \
         WHERE kind IS NOT NULL"
    );
    for row in look.rows(&sql)? {
        if let [kind, place] = row.as_slice() {
            check_vector(look, table, kind, place)?;
        }
    }
    Ok(())
}
