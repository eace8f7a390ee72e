//! Which tables a listing of files holds, for IMPORT FOREIGN SCHEMA: by the names alone.
//!
//! - A folder with `_delta_log` is a Delta table; one with `metadata/*.metadata.json` is an Iceberg
//!   table. What lies below belongs to them.
//! - A folder below which files lie in folders `key=value` is one table, read with
//!   `hive_partitioning`.
//! - A folder of files with the same ending is one table (its reader sees whether their columns are
//!   alike). So is one with a single file whose name is only a number or `part-0001` and the like;
//!   any other single file is a table by itself, and so is each file of the uppermost folder.
//! - Names that begin with `_` or `.`, and files of other formats, do not count.

use std::collections::{BTreeMap, BTreeSet};

use super::options::Format;

/// A table that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The folder, or the file without its ending, below the prefix: what the name is made of.
    pub base: String,
    pub format: Format,
    pub path: String,
    /// Whether the files lie in folders `key=value`.
    pub hive: bool,
    /// Whether an Iceberg table's metadata is compressed, which a folder's name does not tell.
    pub gzip: bool,
    /// The files of a folder, below the prefix; empty for a table that is one whatever its files.
    pub files: Vec<String>,
}

/// The tables among `files`, which are named below `prefix`; that ends in a slash.
#[must_use]
pub fn tables(prefix: &str, files: &[String]) -> Vec<Found> {
    let mut found = lakes(prefix, files);
    let roots: Vec<_> = found.iter().map(|lake| lake.base.clone()).collect();
    let in_lake = |file: &str| {
        roots.iter().any(|root| {
            root.is_empty() || file.strip_prefix(root.as_str()).is_some_and(|r| r.starts_with('/'))
        })
    };
    let mut partitioned: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut folders: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for file in files {
        let hidden = file.split('/').any(|part| part.starts_with(['_', '.']));
        let Some((_, ending)) = ending(file).filter(|_| !hidden && !in_lake(file)) else {
            continue;
        };
        let folder = folder_of(file);
        match partition_root(folder) {
            Some(root) => {
                partitioned.insert((root, ending));
            }
            None => folders.entry(folder).or_default().push(file),
        }
    }
    found.extend(partitioned.into_iter().map(|(root, ending)| Found {
        base: root.to_owned(),
        format: Format::guess(ending).unwrap_or(Format::Parquet),
        path: format!("{}**/*{ending}", literal(&(prefix.to_owned() + &below(root)))),
        hive: true,
        gzip: false,
        files: vec![],
    }));
    for (folder, files) in folders {
        found.extend(of_folder(prefix, folder, &files));
    }
    found.sort_by(|a, b| a.base.cmp(&b.base));
    found
}

/// A file as a table by itself.
#[must_use]
pub fn single(prefix: &str, file: &str) -> Option<Found> {
    let (format, ending) = ending(file)?;
    Some(Found {
        base: file.strip_suffix(ending)?.to_owned(),
        format,
        path: literal(&format!("{prefix}{file}")),
        hive: false,
        gzip: false,
        files: vec![],
    })
}

fn of_folder(prefix: &str, folder: &str, files: &[&str]) -> Vec<Found> {
    let singles = || files.iter().filter_map(|file| single(prefix, file)).collect();
    let mut endings = files.iter().filter_map(|file| ending(file));
    let Some((format, first)) = endings.next() else { return vec![] };
    let alike = endings.all(|(_, other)| other == first);
    let lone = matches!(files, [file] if !is_generated(file));
    if folder.is_empty() || !alike || lone {
        return singles();
    }
    vec![Found {
        base: folder.to_owned(),
        format,
        path: format!("{}*{first}", literal(&(prefix.to_owned() + &below(folder)))),
        hive: false,
        gzip: false,
        files: files.iter().map(|file| (*file).to_owned()).collect(),
    }]
}

/// The Delta and Iceberg tables.
fn lakes(prefix: &str, files: &[String]) -> Vec<Found> {
    let mut delta = BTreeSet::new();
    // The newest metadata file, and whether there is a hint that says which one counts.
    let mut iceberg: BTreeMap<&str, (Option<&str>, bool)> = BTreeMap::new();
    for file in files {
        let mut at = 0;
        for part in file.split('/') {
            if part == "_delta_log" {
                delta.insert(file[..at].trim_end_matches('/'));
                break;
            }
            at += part.len() + 1;
        }
        let (folder, name) = (folder_of(file), &file[folder_of(file).len()..]);
        let name = name.trim_start_matches('/');
        let root = folder.strip_suffix("metadata").filter(|r| r.is_empty() || r.ends_with('/'));
        let Some(root) = root.map(|root| root.trim_end_matches('/')) else { continue };
        if name == "version-hint.text" {
            iceberg.entry(root).or_default().1 = true;
        } else if name.ends_with(".metadata.json") {
            let newest = &mut iceberg.entry(root).or_default().0;
            if newest.is_none_or(|known| (version(known), known) < (version(file), file)) {
                *newest = Some(file);
            }
        }
    }
    let delta_tables = delta.iter().map(|root| Found {
        base: (*root).to_owned(),
        format: Format::Delta,
        path: format!("{prefix}{root}").trim_end_matches('/').to_owned(),
        hive: false,
        gzip: false,
        files: vec![],
    });
    let iceberg_tables = iceberg.iter().filter_map(|(root, (newest, hinted))| {
        let newest = (*newest)?;
        let path = if *hinted { root } else { newest };
        Some(Found {
            base: (*root).to_owned(),
            format: Format::Iceberg,
            path: format!("{prefix}{path}").trim_end_matches('/').to_owned(),
            hive: false,
            gzip: newest.ends_with(".gz.metadata.json"),
            files: vec![],
        })
    });
    let mut lakes: Vec<_> = delta_tables.chain(iceberg_tables).collect();
    // A table within a table is a part of it.
    let roots: Vec<_> = lakes.iter().map(|lake| lake.base.clone()).collect();
    lakes.retain(|lake| {
        !roots.iter().any(|root| *root != lake.base && lake.base.starts_with(&below(root)))
    });
    lakes
}

/// The number in a metadata file's name: `v3.metadata.json`, `00003-….metadata.json`.
fn version(file: &str) -> u64 {
    let name = file.rsplit('/').next().unwrap_or_default().trim_start_matches('v');
    let digits = name.bytes().take_while(u8::is_ascii_digit).count();
    name[..digits].parse().unwrap_or(0)
}

fn folder_of(file: &str) -> &str {
    file.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// A folder with its slash; nothing for the uppermost.
fn below(folder: &str) -> String {
    if folder.is_empty() { String::new() } else { format!("{folder}/") }
}

/// What stands before the first folder `key=value`.
fn partition_root(folder: &str) -> Option<&str> {
    let mut at = 0;
    for part in folder.split('/') {
        if part.find('=').is_some_and(|equals| equals > 0) {
            return Some(folder[..at].trim_end_matches('/'));
        }
        at += part.len() + 1;
    }
    None
}

/// The format of a file and the end of its name that tells it.
fn ending(file: &str) -> Option<(Format, &str)> {
    let name = file.rsplit('/').next()?;
    let format = Format::guess(name)?;
    let bare = [".gz", ".zst"].iter().find_map(|end| {
        let cut = name.len().checked_sub(end.len())?;
        name.get(cut..)?.eq_ignore_ascii_case(end).then_some(&name[..cut])
    });
    let dot = bare.unwrap_or(name).rfind('.')?;
    (dot > 0).then_some((format, &name[dot..]))
}

/// Whether a file's name says nothing: `0.parquet`, `part-0001.parquet`, `data_0.parquet`.
fn is_generated(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let letters = name.chars().take_while(char::is_ascii_alphabetic).count();
    let word = ["", "part", "data", "file", "chunk", "batch"].contains(&&name[..letters]);
    word && name[letters..].starts_with(|c: char| c.is_ascii_digit() || "-_.".contains(c))
}

/// A path in which nothing is a pattern.
#[must_use]
pub fn literal(path: &str) -> String {
    let escaped = path.chars().map(|c| match c {
        '*' | '?' | '[' => format!("[{c}]"),
        other => other.to_string(),
    });
    escaped.collect()
}

/// Names for tables with these bases, in their order: the last part, or all parts where that alone
/// would be taken twice, and a number where even these would. `fallback` is for the base that is
/// empty.
#[must_use]
pub fn names(bases: &[&str], fallback: &str) -> Vec<String> {
    let base = |base: &&str| if base.is_empty() { fallback.to_owned() } else { (*base).to_owned() };
    let bases: Vec<_> = bases.iter().map(base).collect();
    let short: Vec<_> =
        bases.iter().map(|base| clean(base.rsplit('/').next().unwrap_or_default())).collect();
    let mut taken = BTreeSet::new();
    let mut names = vec![];
    for (base, name) in bases.iter().zip(&short) {
        let unique = short.iter().filter(|other| *other == name).count() == 1;
        let wanted = if unique { name.clone() } else { clean(base) };
        let mut name = wanted.clone();
        let mut number = 1;
        while !taken.insert(name.clone()) {
            number += 1;
            let suffix = format!("_{number}");
            name = cut(&wanted, LONGEST - suffix.len()).to_owned() + &suffix;
        }
        names.push(name);
    }
    names
}

/// What PostgreSQL keeps of a name.
const LONGEST: usize = 63;

fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

/// A name of letters, digits and underscores, in lower case, that begins with no digit.
fn clean(text: &str) -> String {
    let mut name = String::new();
    for character in text.chars() {
        if character.is_alphanumeric() {
            name.extend(character.to_lowercase());
        } else if !name.ends_with('_') {
            name.push('_');
        }
    }
    let name = name.trim_matches('_');
    let name = match name.chars().next() {
        None => "table".to_owned(),
        Some(first) if first.is_numeric() => format!("_{name}"),
        Some(_) => name.to_owned(),
    };
    cut(&name, LONGEST).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[&str]) -> Vec<(String, String)> {
        let files: Vec<_> = files.iter().map(|file| (*file).to_owned()).collect();
        tables("s3://b/", &files).into_iter().map(|t| (t.base, t.path)).collect()
    }

    fn pair(base: &str, path: &str) -> (String, String) {
        (base.into(), format!("s3://b/{path}"))
    }

    #[test]
    fn folders_and_files_become_tables() {
        assert_eq!(
            found(&["a.parquet", "o/1.csv", "o/2.csv", "_tmp/x.csv", "o/_SUCCESS", "x.txt"]),
            [pair("a", "a.parquet"), pair("o", "o/*.csv")]
        );
        assert_eq!(
            found(&["raw/customers.csv.gz"]),
            [pair("raw/customers", "raw/customers.csv.gz")]
        );
        assert_eq!(found(&["o/part-00.snappy.parquet"]), [pair("o", "o/*.parquet")]);
        assert_eq!(found(&["w[1].csv"]), [pair("w[1]", "w[[]1].csv")]);
    }

    #[test]
    fn partitions_and_lakes_are_one_table() {
        assert_eq!(
            found(&["s/year=1/m=1/x.parquet", "s/year=2/m=1/y.parquet"]),
            [pair("s", "s/**/*.parquet")]
        );
        assert_eq!(
            found(&["d/_delta_log/0.json", "d/p=1/x.parquet", "d/y.parquet"]),
            [pair("d", "d")]
        );
        assert_eq!(
            found(&[
                "i/metadata/v9.metadata.json",
                "i/metadata/v10.metadata.json",
                "i/data/x.parquet"
            ]),
            [pair("i", "i/metadata/v10.metadata.json")]
        );
        assert_eq!(
            found(&["i/metadata/v9.metadata.json", "i/metadata/version-hint.text"]),
            [pair("i", "i")]
        );
    }

    #[test]
    fn names_are_clean_and_unique() {
        assert_eq!(
            names(&["eu/Orders", "us/orders", "x-y 1", "2024", ""], "Top"),
            ["eu_orders", "us_orders", "x_y_1", "_2024", "top"]
        );
        assert_eq!(names(&["a-b", "a_b"], ""), ["a_b", "a_b_2"]);
    }
}
