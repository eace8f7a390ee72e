//! The functions of DuckDB's that SQL of our own calls: those in the templates of the pushdown's
//! allow-list, and those that our code writes. A statement with another one does not run; see
//! [`duck::policy::check_planned`].

use std::sync::LazyLock;

use duck::policy::Functions;

static TEMPLATES: &str = include_str!("../pushdown/functions.txt");

/// What stands in code. Operators and brackets are functions to DuckDB, and so is count(*).
const WRITTEN: &[&str] = &[
    // Operators, LIKE among them.
    "!~~",
    "%",
    "&",
    "*",
    "+",
    "-",
    "/",
    "//",
    "^",
    "|",
    "||",
    "~",
    "~~",
    // Literals of lists and structs, places in them.
    "array_extract",
    "chr",
    "concat",
    "list_value",
    "row",
    "struct_extract",
    "struct_pack",
    // Rules and literals.
    "abs",
    "ceil",
    "date_part",
    "date_trunc",
    "epoch_us",
    "error",
    "floor",
    "greatest",
    "isfinite",
    "least",
    "left",
    "length",
    "like_escape",
    "lpad",
    "make_timestamptz",
    "not_like_escape",
    "right",
    "round",
    "rpad",
    "rtrim",
    "split_part",
    "strpos",
    "substr",
    "substring",
    "to_days",
    "to_microseconds",
    "to_months",
    "translate",
    "typeof",
    "unnest",
    // Fields of dates.
    "day",
    "dayofweek",
    "dayofyear",
    "hour",
    "isodow",
    "isoyear",
    "microsecond",
    "minute",
    "month",
    "quarter",
    "week",
    "year",
    // Aggregates and window functions.
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "count_star",
    "covar_pop",
    "covar_samp",
    "cume_dist",
    "dense_rank",
    "first",
    "first_value",
    "grouping",
    "lag",
    "last_value",
    "lead",
    "list",
    "max",
    "min",
    "nth_value",
    "ntile",
    "percent_rank",
    "quantile_cont",
    "quantile_disc",
    "rank",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
    "row_number",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "var_pop",
    "var_samp",
    "variance",
    // Texts of CSV and JSON files as declared types, and columns of files of several types.
    "array_slice",
    "constant_or_null",
    "current_setting",
    "contains",
    "encode",
    "isinf",
    "lower",
    "make_time",
    "make_timestamp",
    "regexp_extract",
    "regexp_full_match",
    "regexp_matches",
    "round_even",
    "trim",
    "unhex",
    // Values that are written to lakes.
    "list_transform",
    "pg_pond_storable",
    // Questions about tables and lakes.
    "concat_ws",
    "from_json",
    "strlen",
    "to_json",
];

/// The functions in a template: the words before parentheses.
fn called(template: &'static str) -> impl Iterator<Item = &'static str> {
    template.match_indices('(').filter_map(|(at, _)| {
        let before = &template[..at];
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let start = before.rfind(|c: char| !is_part(c)).map_or(0, |at| at + 1);
        (start < at).then(|| &before[start..])
    })
}

static FUNCTIONS: LazyLock<Functions> = LazyLock::new(|| {
    let rules = TEMPLATES.lines().filter(|line| !line.starts_with('#'));
    let templates = rules.filter_map(|line| Some(line.split_once(" = ")?.1));
    templates.flat_map(called).chain(WRITTEN.iter().copied()).collect()
});

pub fn functions() -> &'static Functions {
    &FUNCTIONS
}
