//! A look at an Iceberg table: its metadata file is found as DuckDB's extension finds it
//! (`IcebergTableMetadata::GetMetaDataPath` in its sources), read, and checked for what the extension
//! takes for granted (Iceberg's table specification, "Table Metadata"); `iceberg_metadata`, which fails
//! cleanly, then reads the manifests.

use super::json::{Document, Item, Kind};
use super::tables::{
    LogTable, Look, MAX_JSON_DEPTH, MAX_METADATA_BYTES, damaged, is_unsound, json_depth,
};
use super::{not_allowed, shown};
use crate::error::{Error, ErrorKind, Result};
use crate::quote::literal;

/// The extension's own default of `version_name_format`.
const NAME_FORMATS: &str = "v%s%s.metadata.json,%s%s.metadata.json";
const HINT: &str = "version-hint.text";
/// The value of `version` that stands for the newest metadata file.
const NEWEST: &str = "?";
/// The arguments that `iceberg_metadata` takes as well.
const SHARED: &[&str] = &[
    "allow_moved_paths",
    "metadata_compression_codec",
    "snapshot_from_id",
    "snapshot_from_timestamp",
    "version",
    "version_name_format",
];

/// Looks at a table; returns the columns whose conditions DuckDB must not compare with partitions.
pub(super) fn look(look: &Look<'_>, table: &LogTable) -> Result<Vec<String>> {
    let file = metadata_file(look, table)?;
    if look.policy.sandboxed {
        look.check_place(table, &file)?;
    }
    let text = read(look, table, &file)?;
    if json_depth(&text) > MAX_JSON_DEPTH {
        return Err(damaged(table, "its metadata is nested too deeply"));
    }
    let document = Document::parse(&text).map_err(|_| damaged(table, "its metadata is no JSON"))?;
    let list = check_metadata(look, table, document.root())?;
    check_branch(look, table, document.root())?;
    if table.reader == "iceberg_snapshots" {
        return Ok(vec![]);
    }
    check_manifests(look, table)?;
    if table.reader != "iceberg_scan" {
        return Ok(vec![]);
    }
    guards(look, table, document.root(), list.as_deref())
}

/// Refuses a moment at which the newest snapshot belongs to another branch than the main one: DuckDB
/// 1.5.5 takes the newest of all.
fn check_branch(look: &Look<'_>, table: &LogTable, root: Item<'_, '_>) -> Result<()> {
    let Some(moment) = table.option("snapshot_from_timestamp") else { return Ok(()) };
    let sql = format!("SELECT CAST(epoch_ms(CAST({moment} AS TIMESTAMP)) AS VARCHAR)");
    let moment = look.rows(&sql)?.into_iter().flatten().next();
    let Some(moment) = moment.and_then(|text| text.parse::<i64>().ok()) else { return Ok(()) };
    let snapshots: Vec<_> = root
        .get("snapshots")
        .into_iter()
        .flat_map(Item::children)
        .filter_map(|snapshot| {
            let id = number(snapshot.get("snapshot-id"))?;
            let at = number(snapshot.get("timestamp-ms"))?;
            Some((id, at, number(snapshot.get("parent-snapshot-id"))))
        })
        .collect();
    let mut main = vec![];
    let mut next = number(root.get("current-snapshot-id"));
    while let Some(found) = snapshots.iter().find(|(id, ..)| Some(*id) == next) {
        if main.contains(&found.0) {
            break;
        }
        main.push(found.0);
        next = found.2;
    }
    let newest = |of_main: bool| {
        snapshots
            .iter()
            .filter(|(id, at, _)| *at <= moment && (!of_main || main.contains(id)))
            .max_by_key(|(_, at, _)| *at)
            .map(|(id, ..)| *id)
    };
    match (newest(false), newest(true)) {
        (taken, right) if taken == right => Ok(()),
        (_, right) => {
            let right = right.map_or("has none then".to_owned(), |id| {
                format!("is read by snapshot_from_id => {id}")
            });
            Err(Error::new(
                ErrorKind::NotSupported,
                format!(
                    "the newest snapshot of Iceberg table \"{}\" at that moment is of another \
                     branch; the main one {right}",
                    shown(&table.path)
                ),
            ))
        }
    }
}

/// The columns by whose partitions DuckDB 1.5.5 leaves out too much (docs/upstream.md): moments before
/// 1970 in partitions by month or day, uuids in buckets, truncated decimals. Years, hours, dates and all
/// other buckets and truncations are right.
fn guards(
    look: &Look<'_>,
    table: &LogTable,
    root: Item<'_, '_>,
    list: Option<&str>,
) -> Result<Vec<String>> {
    let mut found = vec![];
    for spec in root.get("partition-specs").into_iter().flat_map(Item::children) {
        let id = number(spec.get("spec-id"));
        let fields = spec.get("fields").into_iter().flat_map(Item::children);
        for (position, field) in fields.enumerate() {
            let source = number(field.get("source-id"));
            let transform = field.text("transform").unwrap_or_default();
            let kinds = field_kinds(root, source);
            let is = |start: &str| kinds.iter().any(|(_, kind)| kind.starts_with(start));
            let hazard = match transform {
                "month" | "day" if is("timestamp") => {
                    list.is_none_or(|list| !holds_only_later(look, list, id, position))
                }
                bucket if bucket.starts_with("bucket") => is("uuid"),
                truncate if truncate.starts_with("truncate") => is("decimal"),
                _ => false,
            };
            if hazard {
                found.extend(kinds.into_iter().map(|(name, _)| name));
            }
        }
    }
    if found.is_empty() {
        return Ok(found);
    }
    let columns = look.columns(table)?;
    let wanted = |name: &str| found.iter().any(|known| known.eq_ignore_ascii_case(name));
    Ok(columns.into_iter().map(|(name, _)| name).filter(|name| wanted(name)).collect())
}

/// The names and types that a column has in the schemas of a table, by its identifier.
fn field_kinds(root: Item<'_, '_>, id: Option<i64>) -> Vec<(String, String)> {
    let schemas = root.get("schemas").into_iter().flat_map(Item::children);
    let fields =
        schemas.flat_map(|schema| schema.get("fields").into_iter().flat_map(Item::children));
    fields
        .filter(|field| id.is_some() && number(field.get("id")) == id)
        .filter_map(|field| Some((field.text("name")?.to_owned(), field.text("type")?.to_owned())))
        .collect()
}

/// Whether the partitions by a field of a spec, numbers counted from 1970, are told to be none below 0.
fn holds_only_later(look: &Look<'_>, list: &str, spec: Option<i64>, position: usize) -> bool {
    let Some(spec) = spec else { return false };
    // A bound is four bytes, the least significant first; the sign is in the last.
    let sql = format!(
        "SELECT 'early' FROM read_avro({}) WHERE partition_spec_id = {spec} AND          coalesce(len(partitions) <= {position} OR          right(hex(partitions[{}].lower_bound), 2) >= '80', true) LIMIT 1",
        look.argument(list),
        position + 1
    );
    look.rows(&sql).is_ok_and(|rows| rows.is_empty())
}

fn join(folder: &str, name: &str) -> String {
    format!("{}/{name}", folder.trim_end_matches('/'))
}

fn is_gzip(table: &LogTable) -> bool {
    table.text("metadata_compression_codec").is_some_and(|codec| codec == "gzip")
}

fn metadata_file(look: &Look<'_>, table: &LogTable) -> Result<String> {
    if table.path.ends_with(".json") {
        return Ok(table.path.clone());
    }
    let folder = join(&table.path, "metadata");
    let version = table.text("version").unwrap_or_else(|| NEWEST.to_owned());
    let hint = match version.as_str() {
        name if name.ends_with(".text") || name.ends_with(".txt") => {
            let file = join(&folder, name);
            Some(look.text_of(&file).ok_or_else(|| missing(table, &file))?)
        }
        NEWEST => look.text_of(&join(&folder, HINT)),
        version => Some(version.to_owned()),
    };
    let Some(hint) = hint else {
        if table.option("version").is_some() {
            return newest(look, table, &folder);
        }
        return Err(Error::new(
            ErrorKind::Io,
            format!(
                "No such file: Iceberg table \"{}\" has no version hint. Name its metadata file, or \
                 let version be '?', which takes the newest",
                shown(&table.path)
            ),
        ));
    };
    if hint.contains(['/', '\\', '?', '#']) || hint.contains("..") || hint.len() > 200 {
        return Err(not_allowed(format!(
            "the version hint of Iceberg table \"{}\" is no version",
            shown(&table.path)
        )));
    }
    let formats = table.text("version_name_format").unwrap_or_else(|| NAME_FORMATS.to_owned());
    let suffix = if is_gzip(table) { ".gz" } else { "" };
    let mut names = formats
        .split(',')
        .map(|format| join(&folder, &format.replacen("%s", &hint, 1).replacen("%s", suffix, 1)));
    let file = names.find(|file| look.exists(file));
    file.ok_or_else(|| missing(table, &join(&folder, &format!("*{hint}{suffix}.metadata.json"))))
}

fn missing(table: &LogTable, file: &str) -> Error {
    Error::new(
        ErrorKind::Io,
        format!(
            "No such file: Iceberg table \"{}\" has no \"{}\"",
            shown(&table.path),
            shown(file)
        ),
    )
}

/// The metadata file that the extension takes for the newest: the last by name.
fn newest(look: &Look<'_>, table: &LogTable, folder: &str) -> Result<String> {
    let formats = table.text("version_name_format").unwrap_or_else(|| NAME_FORMATS.to_owned());
    let suffix = if is_gzip(table) { ".gz" } else { "" };
    for format in formats.split(',') {
        let pattern = format.replacen("%s", "*", 1).replacen("%s", suffix, 1);
        if let Some(last) = look.list(folder, &pattern)?.into_iter().max() {
            return Ok(last);
        }
    }
    Err(missing(table, &join(folder, "*.metadata.json")))
}

/// The text of a metadata file.
fn read(look: &Look<'_>, table: &LogTable, file: &str) -> Result<String> {
    let packed = is_gzip(table) || file.ends_with("gz.metadata.json");
    let sql = format!(
        "SELECT CAST(json AS VARCHAR) FROM read_json_objects({}, format = 'unstructured', \
         maximum_object_size = {MAX_METADATA_BYTES}, compression = '{}')",
        look.argument(file),
        if packed { "gzip" } else { "uncompressed" }
    );
    let rows = look.rows(&sql).map_err(|error| look.unsound(table, error))?;
    match rows.into_iter().flatten().next() {
        Some(text) => Ok(text),
        None => Err(damaged(table, "its metadata file is empty")),
    }
}

fn number(item: Option<Item<'_, '_>>) -> Option<i64> {
    match item?.kind() {
        Kind::Number(digits) => digits.parse().ok(),
        _ => None,
    }
}

/// Checks the metadata; returns the list of the manifests of the current snapshot, if that is read.
fn check_metadata(look: &Look<'_>, table: &LogTable, root: Item<'_, '_>) -> Result<Option<String>> {
    let version = number(root.get("format-version"));
    match version {
        Some(1..=3) => {}
        Some(other) => {
            return Err(Error::new(
                ErrorKind::NotSupported,
                format!(
                    "Iceberg table \"{}\" has format version {other}; versions 1 to 3 are read",
                    shown(&table.path)
                ),
            ));
        }
        None => return Err(damaged(table, "its metadata has no format version")),
    }
    let schemas: Vec<_> = root
        .get("schemas")
        .filter(|schemas| *schemas.kind() == Kind::Array)
        .into_iter()
        .flat_map(Item::children)
        .collect();
    if schemas.is_empty() && version == Some(1) && root.get("schema").is_some() {
        return Err(Error::new(
            ErrorKind::NotSupported,
            format!(
                "Iceberg table \"{}\" of format version 1 has no list of schemas, which DuckDB needs",
                shown(&table.path)
            ),
        ));
    }
    let ids: Vec<_> = schemas.iter().filter_map(|schema| number(schema.get("schema-id"))).collect();
    if ids.len() != schemas.len() || ids.is_empty() {
        return Err(damaged(table, "its metadata has no schemas"));
    }
    if !number(root.get("current-schema-id")).is_some_and(|id| ids.contains(&id)) {
        return Err(damaged(table, "its metadata does not have the current schema"));
    }
    let travels = ["snapshot_from_id", "snapshot_from_timestamp"]
        .iter()
        .any(|option| table.option(option).is_some());
    let current = number(root.get("current-snapshot-id"));
    let unsound: Vec<_> = schemas
        .iter()
        .filter(|schema| is_unsound(**schema))
        .filter_map(|schema| number(schema.get("schema-id")))
        .collect();
    let check_fields = |id: Option<i64>| match id {
        Some(id) if unsound.contains(&id) => Err(damaged(
            table,
            "a schema has no columns, a struct without fields, or too long a decimal",
        )),
        _ => Ok(()),
    };
    if !travels {
        check_fields(number(root.get("current-schema-id")))?;
    }
    let moved = table.text("allow_moved_paths").is_some_and(|text| text.contains('t'));
    let mut newest = None;
    for snapshot in root.get("snapshots").into_iter().flat_map(Item::children) {
        let schema = number(snapshot.get("schema-id"));
        if travels && !schema.is_some_and(|id| ids.contains(&id)) {
            return Err(damaged(table, "its metadata does not have the schema of a snapshot"));
        }
        let read = travels || number(snapshot.get("snapshot-id")) == current;
        if read {
            check_fields(schema)?;
        }
        if let Some(list) = snapshot.text("manifest-list").filter(|_| read) {
            let file = check_file(look, table, moved, list)?;
            newest = (!travels).then_some(file);
        }
    }
    Ok(newest)
}

/// Checks the place of a file that the metadata names, and returns it.
fn check_file(look: &Look<'_>, table: &LogTable, moved: bool, file: &str) -> Result<String> {
    if !moved {
        look.check_place(table, file)?;
        return Ok(file.to_owned());
    }
    // Only what follows the last of these folders counts (`IcebergUtils::GetFullPath`).
    let lower = file.to_ascii_lowercase();
    let found = lower.rfind("/metadata/").or_else(|| lower.rfind("/data/"));
    let below = found.and_then(|at| file.get(at + 1..)).unwrap_or(file);
    let file = join(&table.path, below);
    look.check_place(table, &file)?;
    Ok(file)
}

/// Has the manifest list and the manifests read by what fails cleanly, and checks the files in them.
fn check_manifests(look: &Look<'_>, table: &LogTable) -> Result<()> {
    let mut sql = format!(
        "SELECT DISTINCT unnest([manifest_path, file_path]) FROM iceberg_metadata({}",
        literal(&table.path)
    );
    for (name, value) in table.options.iter().filter(|(name, _)| SHARED.contains(&name.as_str())) {
        sql.push_str(&format!(", {name} = {value}"));
    }
    sql.push(')');
    let guesses = table.text("version").is_some_and(|version| version == NEWEST);
    if guesses {
        look.connection.take_paths_literally(false)?;
    }
    let files = look.rows(&sql).map_err(|error| look.unsound(table, error))?;
    let moved = table.text("allow_moved_paths").is_some_and(|text| text.contains('t'));
    files.iter().flatten().try_for_each(|file| check_file(look, table, moved, file).map(drop))
}
