//! The walk over the tree of a SELECT. Every object of the tree is visited; a kind of node that
//! is not known here refuses the statement.

use super::functions::{self, TableFunction};
use super::json::{Item, Kind};
use super::{LogTable, Policy, Verdict, VerdictKind, not_allowed, shown};
use crate::error::{Error, ErrorKind, Result};
use crate::open::Extension;
use crate::quote::literal;
use crate::server::METADATA_PREFIX;
use crate::value::Value;

/// Subqueries and lambdas in expressions nested deeper make DuckDB's binder, which cannot be
/// interrupted, take exponential time.
const MAX_EXPRESSION_DEPTH: u32 = 10;
/// Queries within queries nested deeper exhaust a thread's stack inside DuckDB.
const MAX_QUERY_DEPTH: u32 = 100;
const MAX_SET_OPERATION_DEPTH: u32 = 2000;

pub struct Found {
    pub verdict: Verdict,
    /// Whether the verdict depends on nothing but the text: on no path that is a parameter, and no
    /// table of the connection.
    pub holds_for_others: bool,
}

impl Found {
    pub fn other() -> Self {
        Self {
            verdict: Verdict {
                kind: VerdictKind::Other,
                readers: Vec::new(),
                extensions: Vec::new(),
                patterns: Vec::new(),
                local_patterns: Vec::new(),
                tables: Vec::new(),
                relations: Vec::new(),
                lakes: Vec::new(),
                calls: false,
                travels: false,
                bare_reader: None,
            },
            holds_for_others: true,
        }
    }
}

/// The query node of the one statement that `json_serialize_sql` was given.
pub fn statement<'d, 'a>(root: Item<'d, 'a>, sql: &str) -> Result<Item<'d, 'a>> {
    if !root.get("error").is_some_and(|item| *item.kind() == Kind::Boolean(false)) {
        return Err(serialization_error(root, sql));
    }
    let mut statements = root.get("statements").into_iter().flat_map(Item::children);
    let first = statements
        .next()
        .ok_or_else(|| Error::new(ErrorKind::StatementCount, "there is no statement"))?;
    match statements.count() {
        0 => first.get("node").ok_or_else(not_understood),
        more => Err(Error::new(
            ErrorKind::StatementCount,
            format!("{} statements where one is allowed", more + 1),
        )),
    }
}

fn not_understood() -> Error {
    not_allowed("the statement holds something that the sandbox does not know")
}

fn unknown(what: &str, name: &str) -> Error {
    not_allowed(format!(
        "the statement holds a kind of {what} that the sandbox does not know: {name}"
    ))
}

fn serialization_error(root: Item<'_, '_>, sql: &str) -> Error {
    let message = root.text("error_message").unwrap_or("the statement cannot be read");
    if message.starts_with("Only SELECT statements") {
        return not_allowed("only SELECT statements may run here");
    }
    match root.text("error_type") {
        Some("parser" | "syntax") => {
            let position = root.text("position").and_then(|text| text.parse().ok());
            Error::new(ErrorKind::Parser, with_source_line(message, sql, position))
        }
        _ => Error::new(ErrorKind::NotSupported, message),
    }
}

/// DuckDB's message with the line that it complains of and a caret, as DuckDB shows them.
fn with_source_line(message: &str, sql: &str, position: Option<usize>) -> String {
    // The position counts characters.
    let ends = sql.char_indices().map(|(at, _)| at).chain([sql.len()]);
    let Some(position) = position.and_then(|position| ends.into_iter().nth(position)) else {
        return message.to_owned();
    };
    let start = sql[..position].rfind('\n').map_or(0, |at| at + 1);
    let line = sql[start..].lines().next().unwrap_or_default();
    let number = sql[..position].matches('\n').count() + 1;
    let before = sql[start..position].chars().count();
    // A window of the line around the caret.
    let skipped = before.saturating_sub(50);
    let window: String = line.chars().skip(skipped).take(100).collect();
    let lead = format!("LINE {number}: {}", if skipped > 0 { "..." } else { "" });
    let caret = " ".repeat(lead.chars().count() + before - skipped);
    format!("{message}\n\n{lead}{window}\n{caret}^")
}

/// How deep a node stands.
#[derive(Clone, Copy, Default)]
struct Depth {
    queries: u32,
    expressions: u32,
    set_operations: u32,
}

struct Walk<'p, 'd, 'a> {
    policy: &'p Policy,
    parameters: &'p [Value],
    shipped: &'p [String],
    pending: Vec<(Item<'d, 'a>, Depth)>,
    found: Found,
}

pub fn walk(
    policy: &Policy,
    parameters: &[Value],
    shipped: &[String],
    query: Item<'_, '_>,
) -> Result<Found> {
    let mut found = Found::other();
    found.verdict.kind = VerdictKind::Select;
    let pending = vec![(query, Depth::default())];
    let mut walk = Walk { policy, parameters, shipped, pending, found };
    while let Some((item, depth)) = walk.pending.pop() {
        walk.visit(item, depth)?;
    }
    walk.found.verdict.bare_reader = bare_reader(query);
    walk.found.verdict.readers.sort_unstable();
    walk.found.verdict.readers.dedup();
    walk.found.verdict.extensions.sort_unstable();
    walk.found.verdict.extensions.dedup();
    walk.found.verdict.relations.sort_unstable();
    walk.found.verdict.relations.dedup();
    walk.found.verdict.lakes.sort_unstable();
    walk.found.verdict.lakes.dedup();
    Ok(walk.found)
}

/// The functions of DuckLake's that tell what has changed.
const CHANGES: &[&str] =
    &["ducklake_table_changes", "ducklake_table_deletions", "ducklake_table_insertions"];

impl<'d, 'a> Walk<'_, 'd, 'a> {
    fn visit(&mut self, item: Item<'d, 'a>, depth: Depth) -> Result<()> {
        match item.kind() {
            Kind::Object => {}
            Kind::Array => {
                self.pending.extend(item.children().map(|child| (child, depth)));
                return Ok(());
            }
            _ => return Ok(()),
        }
        if let Some(class) = item.text("class") {
            return self.expression(item, class, depth);
        }
        match item.get("type").map(Item::kind) {
            Some(Kind::Text(name)) => self.node(item, name, depth),
            // A value: its type, and what it is. Nothing in it is run.
            Some(Kind::Object) if item.get("is_null").is_some() => Ok(()),
            Some(_) => Err(not_understood()),
            None => {
                self.children(item, depth);
                Ok(())
            }
        }
    }

    fn children(&mut self, item: Item<'d, 'a>, depth: Depth) {
        self.pending.extend(item.children().map(|child| (child, depth)));
    }

    fn expression(&mut self, item: Item<'d, 'a>, class: &str, mut depth: Depth) -> Result<()> {
        self.found.verdict.calls |= !calls_nothing(item, class);
        match class {
            "CONSTANT" => return Ok(()),
            "BETWEEN"
            | "CASE"
            | "COLLATE"
            | "COLUMN_REF"
            | "COMPARISON"
            | "CONJUNCTION"
            | "DEFAULT"
            | "OPERATOR"
            | "PARAMETER"
            | "POSITIONAL_REFERENCE"
            | "STAR" => {}
            // DuckDB 1.5.5 turns JSON into VARIANT by recursion, for which JSON nested deep enough
            // has no stack, and a crash ends every session of the server.
            "CAST" if self.policy.sandboxed && names_variant(item) => {
                return Err(not_allowed("casting to VARIANT is not allowed"));
            }
            "CAST" => {}
            "LAMBDA" | "SUBQUERY" => depth.expressions += 1,
            "FUNCTION" | "WINDOW" => self.function(item)?,
            other => return Err(unknown("expression", other)),
        }
        if depth.expressions > MAX_EXPRESSION_DEPTH && self.policy.sandboxed {
            return Err(too_deep());
        }
        self.children(item, depth);
        Ok(())
    }

    /// A scalar function, an aggregate, a window function or a macro.
    fn function(&self, item: Item<'d, 'a>) -> Result<()> {
        let name = item.text("function_name").ok_or_else(not_understood)?;
        if !self.policy.sandboxed {
            return Ok(());
        }
        check_qualifiers(item, "function", name)?;
        if item.is_true("export_state") {
            return Err(not_allowed("EXPORT_STATE is not allowed"));
        }
        if name.eq_ignore_ascii_case("current_setting") {
            let mut arguments = item.get("children").into_iter().flat_map(Item::children);
            let setting = arguments.next().and_then(constant_text);
            return match setting {
                Some(setting) if functions::is_readable_setting(setting) => Ok(()),
                _ => Err(not_allowed("permission denied to read DuckDB's settings")),
            };
        }
        if functions::takes_structure(name) {
            return check_structure(item, name);
        }
        if functions::is_allowed_scalar(name) {
            return Ok(());
        }
        Err(not_allowed(format!("permission denied for function \"{}\"", shown(name))))
    }

    /// A query, a table reference, or a part of one.
    fn node(&mut self, item: Item<'d, 'a>, name: &str, mut depth: Depth) -> Result<()> {
        match name {
            "SELECT_NODE" | "RECURSIVE_CTE_NODE" | "CTE_NODE" => depth.queries += 1,
            "SET_OPERATION_NODE" => depth.set_operations += 1,
            "BASE_TABLE" => self.base_table(item)?,
            "TABLE_FUNCTION" => {
                self.found.verdict.calls = true;
                return self.table_function(item, depth);
            }
            "SHOW_REF" => {
                self.found.verdict.calls = true;
                self.show(item)?;
            }
            "PIVOT" => self.found.verdict.calls = true,
            "EMPTY" | "EXPRESSION_LIST" | "JOIN" | "SUBQUERY" => {}
            "DISTINCT_MODIFIER"
            | "LIMIT_MODIFIER"
            | "LIMIT_PERCENT_MODIFIER"
            | "ORDER_MODIFIER" => {}
            // The items of an ORDER BY.
            "ASCENDING" | "DESCENDING" | "ORDER_DEFAULT" => {}
            type_info if type_info.ends_with("_TYPE_INFO") => {}
            other => return Err(unknown("clause", other)),
        }
        let deep =
            depth.queries > MAX_QUERY_DEPTH || depth.set_operations > MAX_SET_OPERATION_DEPTH;
        if deep && self.policy.sandboxed {
            return Err(too_deep());
        }
        self.children(item, depth);
        Ok(())
    }

    fn base_table(&mut self, item: Item<'d, 'a>) -> Result<()> {
        let part = |key| item.text(key).filter(|text: &&str| !text.is_empty());
        let table = part("table_name").ok_or_else(not_understood)?;
        self.found.verdict.relations.push(table.to_lowercase());
        self.found.verdict.travels |= item.get("at_clause").is_some_and(|at| !at.is_empty());
        // `lake.table` is a table of the lake's schema main, unless a schema has the lake's name.
        if let Some(lake) = part("catalog_name").or(part("schema_name"))
            && let Some(lake) = self.policy.lake(lake)
        {
            self.found.verdict.lakes.push(lake.to_owned());
            return Ok(());
        }
        let qualified = part("schema_name").is_some();
        let full = [part("catalog_name"), part("schema_name"), Some(table)]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(".");
        // DuckDB looks for a file of the whole name, qualifiers included, whether or not the parts
        // are quoted; a CTE of such a name would come first, but is not worth the risk.
        if functions::is_path_like(&full, qualified) {
            self.path(&full)?;
            return match functions::reader_of_path(&full) {
                Some((reader, extension))
                    if !self.policy.sandboxed || functions::table_function(reader).is_some() =>
                {
                    self.note_reader(reader, extension)
                }
                _ if !self.policy.sandboxed => Ok(()),
                _ => Err(not_allowed(format!(
                    "path \"{}\" does not end like a file of a format that may stand as a table; call \
                     a reader, such as read_csv",
                    shown(&full)
                ))),
            };
        }
        if functions::is_shipped(table) {
            self.found.holds_for_others = false;
            if self.policy.sandboxed && !self.shipped.iter().any(|name| name == table) {
                return Err(not_allowed(format!("permission denied for relation \"{full}\"")));
            }
        }
        // The catalogs of lakes are attached too.
        let hidden = part("catalog_name").or(part("schema_name")).is_some_and(is_metadata)
            || part("catalog_name").is_some_and(|c| functions::system_view(c) == Some(false))
            || part("schema_name").is_some_and(|s| functions::system_view(s) == Some(false));
        if self.policy.sandboxed && !hidden && functions::is_of_postgresql_only(table) {
            return Err(Error::new(
                ErrorKind::Catalog,
                format!("Table with name {table} does not exist!"),
            ));
        }
        if self.policy.sandboxed && (hidden || functions::system_view(table) == Some(false)) {
            return Err(not_allowed(format!("permission denied for relation \"{full}\"")));
        }
        Ok(())
    }

    fn note_reader(&mut self, name: &str, extension: Option<Extension>) -> Result<()> {
        self.policy.check_reader(name)?;
        self.found.verdict.readers.push(name.to_ascii_lowercase());
        self.found.verdict.extensions.extend(extension);
        Ok(())
    }

    fn table_function(&mut self, item: Item<'d, 'a>, depth: Depth) -> Result<()> {
        let function = item.get("function").ok_or_else(not_understood)?;
        let name = function.text("function_name");
        let name = name.filter(|_| function.text("class") == Some("FUNCTION"));
        let name = name.ok_or_else(not_understood)?;
        let known = functions::table_function(name);
        self.policy.check_reader(name)?;
        if self.policy.sandboxed {
            check_qualifiers(function, "table function", name)?;
            if known.is_none() {
                return Err(not_allowed(format!(
                    "permission denied for table function \"{}\"",
                    shown(name)
                )));
            }
        }
        if let Some(TableFunction::Lake) = known {
            self.lake_argument(function, name)?;
        }
        if let Some(TableFunction::Reader(extension)) = known {
            self.note_reader(name, extension)?;
            self.reader_arguments(function, name)?;
            if matches!(extension, Some(Extension::Iceberg | Extension::Delta)) {
                let mut table = self.log_table(function, name)?;
                table.is_renamed = item.text("alias").is_some_and(|alias| !alias.is_empty());
                let at = function.get("query_location").map(Item::kind);
                if let Some(Kind::Number(digits)) = at {
                    table.at = digits.parse().unwrap_or(usize::MAX);
                }
                self.found.verdict.tables.push(table);
            }
        }
        // The function node itself is checked here; everything else of it and of the reference
        // goes on.
        self.children(function, depth);
        self.pending.extend(
            item.children().filter(|child| child.key() != "function").map(|child| (child, depth)),
        );
        Ok(())
    }

    /// The first argument of DuckLake's functions is the lake. Some read what it was.
    fn lake_argument(&mut self, function: Item<'d, 'a>, name: &str) -> Result<()> {
        let mut arguments = function.get("children").into_iter().flat_map(Item::children);
        let lake = arguments.next().and_then(constant_text);
        match lake.and_then(|lake| self.policy.lake(lake)) {
            Some(lake) => {
                self.found.verdict.lakes.push(lake.to_owned());
                self.found.verdict.travels |= CHANGES.contains(&name);
                Ok(())
            }
            None if !self.policy.sandboxed => Ok(()),
            None => Err(not_allowed(format!(
                "the first argument of {name} must be a string constant that names a lake"
            ))),
        }
    }

    fn reader_arguments(&mut self, function: Item<'d, 'a>, reader: &str) -> Result<()> {
        let arguments = function.get("children").into_iter().flat_map(Item::children);
        let mut positional = 0;
        for argument in arguments {
            if let Some((name, value)) = named_argument(argument) {
                self.named_argument(reader, name, value)?;
                continue;
            }
            positional += 1;
            if positional == 1 {
                self.paths(argument, reader)?;
            }
        }
        if positional == 0 && self.policy.sandboxed {
            return Err(not_allowed(format!("{reader} needs a path")));
        }
        Ok(())
    }

    /// A call of a reader of Iceberg or Delta tables, whose arguments must be known to be looked at.
    fn log_table(&mut self, function: Item<'d, 'a>, reader: &str) -> Result<LogTable> {
        let mut table = LogTable {
            reader: reader.to_ascii_lowercase(),
            path: String::new(),
            options: vec![],
            at: usize::MAX,
            is_renamed: false,
        };
        for argument in function.get("children").into_iter().flat_map(Item::children) {
            if let Some((name, value)) = named_argument(argument) {
                // Names commits besides those that are looked at: a superuser's own affair.
                if name.eq_ignore_ascii_case("log_tail") {
                    continue;
                }
                let value = self.constant_sql(value).ok_or_else(|| {
                    not_allowed(format!(
                        "argument \"{}\" of {reader} must be a constant or a parameter",
                        shown(name)
                    ))
                })?;
                table.options.push((name.to_ascii_lowercase(), value));
            } else if let Some(path) = constant_text(argument) {
                path.clone_into(&mut table.path);
            } else if let Some(Value::Varchar(path)) = self.parameter(argument) {
                path.clone_into(&mut table.path);
            } else {
                return Err(not_constant(reader));
            }
        }
        Ok(table)
    }

    /// The value of a parameter.
    fn parameter(&mut self, item: Item<'d, 'a>) -> Option<&Value> {
        if item.text("class") != Some("PARAMETER") {
            return None;
        }
        self.found.holds_for_others = false;
        let number = item.text("identifier")?.parse::<usize>().ok()?;
        self.parameters.get(number.checked_sub(1)?)
    }

    /// A constant or a parameter as SQL.
    fn constant_sql(&mut self, item: Item<'d, 'a>) -> Option<String> {
        if let Some(value) = self.parameter(item) {
            return match value {
                Value::Varchar(text) => Some(literal(text)),
                Value::Boolean(value) => Some(value.to_string()),
                Value::SmallInt(number) => Some(number.to_string()),
                Value::Integer(number) => Some(number.to_string()),
                Value::BigInt(number) => Some(number.to_string()),
                Value::Timestamp(micros) => Some(format!("make_timestamp({micros})")),
                _ => None,
            };
        }
        match item.text("class") {
            Some("CONSTANT") => match item.get("value")?.get("value")?.kind() {
                Kind::Text(text) => constant_text(item).map(|_| literal(text)),
                Kind::Number(digits) => Some((*digits).to_owned()),
                Kind::Boolean(value) => Some(value.to_string()),
                _ => None,
            },
            Some("CAST") => {
                const TYPES: &[&str] = &[
                    "BIGINT",
                    "BOOLEAN",
                    "DATE",
                    "INTEGER",
                    "TIMESTAMP",
                    "TIMESTAMP WITH TIME ZONE",
                    "UBIGINT",
                    "VARCHAR",
                ];
                let name = item.get("cast_type")?.text("id")?;
                let name = TYPES.iter().find(|known| **known == name)?;
                Some(format!("CAST({} AS {name})", self.constant_sql(item.get("child")?)?))
            }
            _ => None,
        }
    }

    fn named_argument(&self, reader: &str, name: &str, value: Item<'d, 'a>) -> Result<()> {
        if !self.policy.sandboxed {
            return Ok(());
        }
        if !functions::is_allowed_reader_argument(name) {
            return Err(not_allowed(format!(
                "permission denied for argument \"{}\" of {reader}",
                shown(name)
            )));
        }
        if name.eq_ignore_ascii_case("maximum_object_size") && !is_small_number(value) {
            return Err(not_allowed(format!(
                "argument \"{name}\" of {reader} must be a number up to {MAX_OBJECT_BYTES}"
            )));
        }
        if holds_text(value, "variant") {
            return Err(not_allowed(format!("{reader} cannot make VARIANT columns here")));
        }
        // Delta's version is a number.
        if functions::is_name_argument(name) && !is_number(value) {
            let child = value.get("child").filter(|_| value.text("class") == Some("CAST"));
            let text = constant_text(child.unwrap_or(value)).unwrap_or("/");
            // Iceberg's newest metadata file.
            let newest = name.eq_ignore_ascii_case("version") && text == "?";
            if !newest && (text.contains(['/', '\\', '?', '#']) || text.contains("..")) {
                return Err(not_allowed(format!(
                    "argument \"{name}\" of {reader} must be a string constant without slashes"
                )));
            }
        }
        Ok(())
    }

    /// The first argument of a reader: a path, or a list of paths.
    fn paths(&mut self, argument: Item<'d, 'a>, reader: &str) -> Result<()> {
        if let Some(path) = constant_text(argument) {
            return self.path(path);
        }
        match argument.text("class") {
            Some("PARAMETER") => {
                self.found.holds_for_others = false;
                self.path_parameter(argument.text("identifier").unwrap_or_default(), reader)
            }
            Some("FUNCTION") if argument.text("function_name") == Some("list_value") => {
                let elements = argument.get("children").into_iter().flat_map(Item::children);
                for element in elements {
                    let nested = element.text("class") == Some("FUNCTION");
                    if nested && self.policy.sandboxed {
                        return Err(not_constant(reader));
                    }
                    self.paths(element, reader)?;
                }
                Ok(())
            }
            _ if self.policy.sandboxed => Err(not_constant(reader)),
            _ => Ok(()),
        }
    }

    /// A path that is read.
    fn path(&mut self, path: &str) -> Result<()> {
        self.policy.check_read(path)?;
        let scheme = path.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        let in_store = scheme.is_some_and(|s| !matches!(s.as_str(), "http" | "https" | "file"));
        if in_store && path.contains(['*', '?', '[', '{']) {
            self.found.verdict.patterns.push(path.to_owned());
        }
        if !path.contains("://") && path.contains(['*', '?', '[', '{']) {
            self.found.verdict.local_patterns.push(path.to_owned());
        }
        Ok(())
    }

    fn path_parameter(&mut self, identifier: &str, reader: &str) -> Result<()> {
        let number = identifier.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        let value = number.and_then(|index| self.parameters.get(index));
        let value = value.filter(|value| !matches!(value, Value::Null(_))).ok_or_else(|| {
            Error::new(
                ErrorKind::ParameterNotResolved,
                format!("the path of {reader} is parameter ${identifier}, which has no value yet"),
            )
        })?;
        let not_text =
            || not_allowed(format!("the path of {reader}, parameter ${identifier}, is not text"));
        match value {
            Value::Varchar(path) => self.path(path),
            Value::List(_, elements) => elements.iter().try_for_each(|element| match element {
                Value::Varchar(path) => self.path(path),
                _ => Err(not_text()),
            }),
            _ => Err(not_text()),
        }
    }

    fn show(&self, item: Item<'d, 'a>) -> Result<()> {
        if !self.policy.sandboxed {
            return Ok(());
        }
        let table = item.text("table_name").unwrap_or_default();
        match item.text("show_type") {
            // DESCRIBE and SUMMARIZE of a query, which the walk goes into.
            Some("DESCRIBE" | "SUMMARY") if table.is_empty() => {
                item.get("query").map(drop).ok_or_else(not_understood)
            }
            Some("SHOW_FROM") if table.is_empty() => Ok(()),
            Some("SHOW_UNQUALIFIED")
                if matches!(table, "\"tables\"" | "__show_tables_expanded") =>
            {
                Ok(())
            }
            _ => Err(not_allowed(format!("permission denied to show {}", shown(table)))),
        }
    }
}

/// Whether an expression, what is below it apart, is bound without a look at the functions of any
/// schema. For some that are not, such as `a.b`, it depends on types.
fn calls_nothing(item: Item<'_, '_>, class: &str) -> bool {
    match class {
        "BETWEEN" | "CASE" | "CAST" | "COMPARISON" | "CONJUNCTION" | "CONSTANT" => true,
        "COLUMN_REF" => item.get("column_names").is_some_and(|names| {
            let mut names = names.children();
            let name = names.next().and_then(Item::as_text);
            names.next().is_none() && name.is_some_and(|name| !functions::may_be_value(name))
        }),
        "OPERATOR" => matches!(
            item.text("type"),
            Some("OPERATOR_NOT" | "OPERATOR_IS_NULL" | "OPERATOR_IS_NOT_NULL")
        ),
        "STAR" => !item.is_true("columns") && item.get("expr").is_none_or(Item::is_empty),
        _ => false,
    }
}

fn is_metadata(catalog: &str) -> bool {
    let start = catalog.get(..METADATA_PREFIX.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(METADATA_PREFIX))
}

/// A larger JSON object can be nested deeper than the stacks of DuckDB's threads bear.
const MAX_OBJECT_BYTES: u64 = 16 << 20;

fn is_small_number(value: Item<'_, '_>) -> bool {
    let number = value.get("value").and_then(|value| value.get("value")).map(Item::kind);
    match number {
        Some(Kind::Number(digits)) => {
            digits.parse::<u64>().is_ok_and(|bytes| bytes <= MAX_OBJECT_BYTES)
        }
        _ => false,
    }
}

fn is_number(item: Item<'_, '_>) -> bool {
    let value = item.get("value").and_then(|value| value.get("value"));
    item.text("class") == Some("CONSTANT")
        && value.is_some_and(|value| matches!(value.kind(), Kind::Number(_)))
}

/// The structure of `from_json` and its kin, which DuckDB reads by recursion: a constant of sensible
/// depth.
fn check_structure(item: Item<'_, '_>, name: &str) -> Result<()> {
    let mut arguments = item.get("children").into_iter().flat_map(Item::children);
    let structure = arguments.nth(1).and_then(constant_text);
    let deepest = structure.map(|text| {
        let (mut depth, mut deepest) = (0_u32, 0_u32);
        for byte in text.bytes() {
            match byte {
                b'[' | b'{' | b'(' => depth += 1,
                b']' | b'}' | b')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            deepest = deepest.max(depth);
        }
        deepest
    });
    match deepest {
        Some(depth) if depth <= MAX_QUERY_DEPTH => Ok(()),
        Some(_) => Err(too_deep()),
        None => Err(not_allowed(format!("the structure of {name} must be a string constant"))),
    }
}

/// Whether a text below `item` holds `word`, in any case.
fn holds_text(item: Item<'_, '_>, word: &str) -> bool {
    let mut pending = vec![item];
    while let Some(item) = pending.pop() {
        if let Kind::Text(text) = item.kind()
            && text.to_ascii_lowercase().contains(word)
        {
            return true;
        }
        pending.extend(item.children());
    }
    false
}

/// Whether the type of a CAST is VARIANT, or holds it.
fn names_variant(cast: Item<'_, '_>) -> bool {
    let mut pending: Vec<_> = cast.get("cast_type").into_iter().collect();
    while let Some(item) = pending.pop() {
        if matches!(item.kind(), Kind::Text(text) if text.eq_ignore_ascii_case("variant")) {
            return true;
        }
        pending.extend(item.children());
    }
    false
}

fn not_constant(reader: &str) -> Error {
    not_allowed(format!(
        "the path of {reader} must be a string constant, a parameter, or a list of them"
    ))
}

fn too_deep() -> Error {
    Error::new(ErrorKind::NotSupported, "the statement is nested too deeply")
}

/// Functions of attached databases may hold SQL of their own; only DuckDB's built-in schemas are
/// open.
fn check_qualifiers(item: Item<'_, '_>, what: &str, name: &str) -> Result<()> {
    let catalog = item.text("catalog").unwrap_or_default();
    let schema = item.text("schema").unwrap_or_default();
    let built_in = |text: &str, names: &[&str]| {
        text.is_empty() || names.iter().any(|name| text.eq_ignore_ascii_case(name))
    };
    if built_in(catalog, &["system"]) && built_in(schema, &["main", "pg_catalog"]) {
        return Ok(());
    }
    Err(not_allowed(format!("permission denied for {what} \"{}\"", shown(name))))
}

/// The text of a string constant.
pub(super) fn constant_text<'d>(item: Item<'d, '_>) -> Option<&'d str> {
    if item.text("class") != Some("CONSTANT") {
        return None;
    }
    let value = item.get("value")?;
    let varchar = value.get("type")?.text("id") == Some("VARCHAR");
    if varchar { value.text("value") } else { None }
}

/// The name and value of an argument that DuckDB takes by name: `name := x`, `name => x` (an alias
/// in the tree), and `name = x` (a comparison).
pub(super) fn named_argument<'d, 'a>(argument: Item<'d, 'a>) -> Option<(&'d str, Item<'d, 'a>)> {
    if argument.text("type") == Some("COMPARE_EQUAL") {
        let left = argument.get("left")?;
        let mut names = left.get("column_names")?.children();
        return match (names.next(), names.next()) {
            (Some(name), None) => Some((name.as_text()?, argument.get("right")?)),
            _ => None,
        };
    }
    let alias = argument.text("alias").filter(|alias| !alias.is_empty())?;
    Some((alias, argument))
}

/// Whether an object has no members but the given ones, empty ones and those that are as DuckDB
/// writes them by default.
fn has_only(item: Item<'_, '_>, members: &[&str]) -> bool {
    item.children().all(|child| {
        members.contains(&child.key())
            || child.is_empty()
            || match child.key() {
                "query_location" | "class" | "type" => true,
                "cte_map" | "order_bys" => {
                    child.children().all(|part| part.key() == "type" || part.is_empty())
                }
                "aggregate_handling" => child.as_text() == Some("STANDARD_HANDLING"),
                "with_ordinality" => child.as_text() == Some("WITHOUT_ORDINALITY"),
                _ => false,
            }
    })
}

fn bare_reader(query: Item<'_, '_>) -> Option<String> {
    let from = query.get("from_table")?;
    if from.text("type") == Some("SUBQUERY") {
        // Columns of a bare reader by other names.
        let mut list = query.get("select_list")?.children();
        let renames = query.text("type") == Some("SELECT_NODE")
            && has_only(query, &["select_list", "from_table"])
            && list.all(|item| item.text("class") == Some("COLUMN_REF"));
        let inner = from.get("subquery").and_then(|inner| inner.get("node")).filter(|_| renames)?;
        return bare_reader(inner);
    }
    let mut list = query.get("select_list")?.children();
    let star = list.next()?;
    let from = query.get("from_table")?;
    let bare = query.text("type") == Some("SELECT_NODE")
        && has_only(query, &["select_list", "from_table"])
        && list.next().is_none()
        && star.text("class") == Some("STAR")
        && has_only(star, &[])
        && from.text("type") == Some("TABLE_FUNCTION")
        && has_only(from, &["function"]);
    let function = from.get("function").filter(|_| bare)?;
    let name = function.text("function_name")?;
    let constant = function.get("children").into_iter().flat_map(Item::children).all(is_constant);
    let reader = matches!(functions::table_function(name), Some(TableFunction::Reader(_)));
    (reader && constant && has_only(function, &["function_name", "children"]))
        .then(|| name.to_ascii_lowercase())
}

/// Constants, parameters, casts of them, and lists, structs and maps of them.
fn is_constant(argument: Item<'_, '_>) -> bool {
    let argument = named_argument(argument).map_or(argument, |(_, value)| value);
    let mut pending = vec![argument];
    while let Some(item) = pending.pop() {
        match item.text("class") {
            Some("CONSTANT" | "PARAMETER") => {}
            Some("CAST") => pending.extend(item.get("child")),
            Some("FUNCTION")
                if matches!(
                    item.text("function_name"),
                    Some("list_value" | "struct_pack" | "row" | "map")
                ) =>
            {
                pending.extend(item.get("children").into_iter().flat_map(Item::children));
            }
            _ => return false,
        }
    }
    true
}
