//! The allow-list: which functions DuckDB may compute in PostgreSQL's place, and how. The list is
//! `functions.txt`; it holds functions of `pg_catalog` only, which are looked up by OID and then
//! known by their names and argument types, so that nobody's own function of the same name counts.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::LazyLock;

use duck::sql::Sql;
use pgrx::pg_sys;

use super::expression::Expression;
use super::rules;
use super::translator::{Result, Translator, unsupported};
use crate::pg::nodes;

/// What a function on text needs of its collation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Need {
    #[default]
    Nothing,
    Deterministic,
    Bytewise,
}

/// One entry of the list.
#[derive(Debug, Default)]
pub struct Rule {
    pub template: &'static str,
    pub risky: bool,
    pub need: Need,
    /// The arguments, from 0, that must be constants.
    pub constants: Vec<usize>,
}

static RULES: LazyLock<HashMap<&'static str, Rule>> = LazyLock::new(|| {
    include_str!("functions.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(|line| {
            let (signature, rest) = line.split_once(" = ")?;
            let (template, flags) = rest.split_once(" ; ").unwrap_or((rest, ""));
            let mut rule = Rule { template, ..Rule::default() };
            for word in flags.split(' ') {
                match word {
                    "risky" => rule.risky = true,
                    "deterministic" => rule.need = Need::Deterministic,
                    "bytewise" => rule.need = Need::Bytewise,
                    _ => rule.constants.extend(word.parse::<usize>().map(|n| n - 1)),
                }
            }
            Some((signature, rule))
        })
        .collect()
});

/// A call that is being translated.
pub struct Call<'a> {
    pub signature: &'a str,
    /// The call itself, for its type.
    pub node: *mut pg_sys::Node,
    pub arguments: &'a [*mut pg_sys::Node],
    pub types: &'a [pg_sys::Oid],
    pub parts: &'a [Expression],
    pub collation: pg_sys::Oid,
}

thread_local! {
    /// The signatures of PostgreSQL's own functions, which never change.
    static SIGNATURES: RefCell<HashMap<pg_sys::Oid, Rc<str>>> = RefCell::default();
}

/// `name(type,…)` of a function of PostgreSQL's own.
///
/// # Errors
/// A function of anybody else's.
pub fn signature(function: pg_sys::Oid) -> Result<Rc<str>> {
    if function.to_u32() >= pg_sys::FirstNormalObjectId {
        // SAFETY: a catalog look-up; the name is palloc'ed, or NULL.
        let name = unsafe { nodes::str_at(pg_sys::get_func_name(function)) };
        return unsupported(format!("function {name}, which is not PostgreSQL's own"));
    }
    if let Some(known) = SIGNATURES.with_borrow(|known| known.get(&function).cloned()) {
        return Ok(known);
    }
    // SAFETY: catalog look-ups; the types are palloc'ed.
    let found: Rc<str> = unsafe {
        let mut types = std::ptr::null_mut();
        let mut count = 0;
        pg_sys::get_func_signature(function, &raw mut types, &raw mut count);
        let names: Vec<String> = (0..usize::try_from(count).unwrap_or(0))
            .map(|index| type_name(*types.add(index)))
            .collect();
        let name = nodes::str_at(pg_sys::get_func_name(function));
        format!("{name}({})", names.join(",")).into()
    };
    SIGNATURES.with_borrow_mut(|known| known.insert(function, Rc::clone(&found)));
    Ok(found)
}

/// `typname`.
fn type_name(oid: pg_sys::Oid) -> String {
    #[expect(clippy::cast_possible_wrap, reason = "cache identifiers are small")]
    let cache = pg_sys::SysCacheIdentifier::TYPEOID as i32;
    // SAFETY: a syscache look-up, released at once.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(cache, pg_sys::Datum::from(oid));
        if tuple.is_null() {
            return oid.to_u32().to_string();
        }
        let row = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_type>();
        let name = nodes::str_at((*row).typname.data.as_ptr());
        pg_sys::ReleaseSysCache(tuple);
        name
    }
}

/// The rule for a function.
///
/// # Errors
/// A function that is not on the list.
pub fn find(function: pg_sys::Oid) -> Result<(Rc<str>, &'static Rule)> {
    let signature = signature(function)?;
    match RULES.get(&*signature) {
        Some(rule) => Ok((signature, rule)),
        None => unsupported(format!("function {signature}")),
    }
}

/// The expression for a call.
///
/// # Errors
/// What stands in the way.
///
/// # Safety
/// The call's nodes are live.
pub unsafe fn apply(call: &Call<'_>, rule: &Rule) -> Result<Expression> {
    Translator::check_need(rule.need, call.collation)?;
    // SAFETY: by contract.
    unsafe {
        for at in &rule.constants {
            let constant = call.arguments.get(*at).is_none_or(|argument| {
                nodes::is_a(*argument, pg_sys::NodeTag::T_Const)
                    && !(*(*argument).cast::<pg_sys::Const>()).constisnull
            });
            if !constant {
                return unsupported(format!("function {} with a varying argument", call.signature));
            }
        }
        let mut made = match rule.template.strip_prefix('@') {
            Some(code) => {
                let (name, rest) = code.split_once(' ').unwrap_or((code, ""));
                rules::apply(name, rest, call)?
            }
            None => Expression::new(fill(rule.template, call.parts)),
        };
        made.risky |= rule.risky;
        let parts: Vec<_> = call.parts.iter().collect();
        Ok(made.with(&parts))
    }
}

/// Puts the arguments into a template.
#[must_use]
pub fn fill(template: &'static str, parts: &[Expression]) -> Sql {
    let mut sql = Sql::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        sql.push(&before);
        let Some((number, tail)) = after.split_once('}') else { break };
        let part = number.parse::<usize>().ok().and_then(|number| parts.get(number - 1));
        match part {
            Some(part) => sql.push(&part.sql),
            None => sql.push(&"NULL"),
        }
        rest = tail;
    }
    sql.push(&rest);
    sql
}

/// Not found on the list at all: for tests of the list itself.
#[must_use]
pub fn is_integer_comparison(signature: &str) -> bool {
    signature.starts_with("int")
        && RULES.get(signature).is_some_and(|r| r.template.starts_with("@compare"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read() {
        assert_eq!(RULES["int4pl(int4,int4)"].template, "({1} + {2})");
        assert!(RULES["int4pl(int4,int4)"].risky);
        assert_eq!(RULES["substr(text,int4,int4)"].constants, [1, 2]);
        assert_eq!(RULES["text_lt(text,text)"].need, Need::Bytewise);
    }

    #[test]
    fn templates_take_their_arguments_as_they_are() {
        let parts = ["{2}", "b"].map(|text| Expression::new(duck::sql::literal(text)));
        assert_eq!(fill("f({1}, {2})", &parts).executed(), "f('{2}', 'b')");
    }
}
