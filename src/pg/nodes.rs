//! Nodes and lists.

use std::ffi::{CStr, CString, c_char};

use pgrx::pg_sys;

use super::encoding;

/// The items of a list of pointers.
///
/// # Safety
/// `list` is NIL or a live list of pointers to `T` that is not changed meanwhile.
pub unsafe fn items<T>(list: *mut pg_sys::List) -> impl Iterator<Item = *mut T> {
    // SAFETY: by contract; elements[0..length] are initialised.
    (0..unsafe { len(list) })
        .map(move |index| unsafe { (*(*list).elements.add(index)).ptr_value.cast::<T>() })
}

/// The items of an integer list.
///
/// # Safety
/// `list` is NIL or a live integer list.
pub unsafe fn ints(list: *mut pg_sys::List) -> impl Iterator<Item = i32> {
    // SAFETY: by contract.
    (0..unsafe { len(list) }).map(move |index| unsafe { (*(*list).elements.add(index)).int_value })
}

/// The items of an OID list.
///
/// # Safety
/// `list` is NIL or a live OID list.
pub unsafe fn oids(list: *mut pg_sys::List) -> impl Iterator<Item = pg_sys::Oid> {
    // SAFETY: by contract.
    (0..unsafe { len(list) }).map(move |index| unsafe { (*(*list).elements.add(index)).oid_value })
}

/// # Safety
/// `list` is NIL or a live list.
#[must_use]
pub unsafe fn len(list: *mut pg_sys::List) -> usize {
    if list.is_null() {
        return 0;
    }
    // SAFETY: by contract. A length is never negative.
    usize::try_from(unsafe { (*list).length }).unwrap_or(0)
}

/// A pointer list of the given nodes, in CurrentMemoryContext.
///
/// # Safety
/// The pointers live as long as the list is used.
pub unsafe fn list_of<T>(pointers: impl IntoIterator<Item = *mut T>) -> *mut pg_sys::List {
    pointers.into_iter().fold(std::ptr::null_mut(), |list, pointer| {
        // SAFETY: lappend allocates in CurrentMemoryContext.
        unsafe { pg_sys::lappend(list, pointer.cast()) }
    })
}

/// An integer list in CurrentMemoryContext.
pub fn int_list(values: impl IntoIterator<Item = i32>) -> *mut pg_sys::List {
    values.into_iter().fold(std::ptr::null_mut(), |list, value| {
        // SAFETY: lappend_int allocates in CurrentMemoryContext.
        unsafe { pg_sys::lappend_int(list, value) }
    })
}

/// An OID list in CurrentMemoryContext.
pub fn oid_list(values: impl IntoIterator<Item = pg_sys::Oid>) -> *mut pg_sys::List {
    values.into_iter().fold(std::ptr::null_mut(), |list, value| {
        // SAFETY: lappend_oid allocates in CurrentMemoryContext.
        unsafe { pg_sys::lappend_oid(list, value) }
    })
}

/// A String node in CurrentMemoryContext.
#[must_use]
pub fn string_node(text: &str) -> *mut pg_sys::Node {
    // SAFETY: makeString keeps the pointer, which is palloc'ed here.
    unsafe { pg_sys::makeString(palloc_str(text)).cast() }
}

/// A String node in CurrentMemoryContext, in the server encoding.
#[must_use]
pub fn server_string_node(text: &str) -> *mut pg_sys::Node {
    // SAFETY: makeString keeps the pointer, which is palloc'ed here.
    unsafe { pg_sys::makeString(palloc_bytes(&encoding::utf8_to_server(text))).cast() }
}

/// The text of a String node in the server encoding, as UTF-8.
///
/// # Safety
/// `node` is a live String node.
#[must_use]
pub unsafe fn server_string_value(node: *mut pg_sys::Node) -> String {
    // SAFETY: by contract; strVal is NUL-terminated.
    unsafe { encoding::server_to_utf8((*node.cast::<pg_sys::String>()).sval) }
}

/// The text of a String node.
///
/// # Safety
/// `node` is a live String node.
#[must_use]
pub unsafe fn string_value(node: *mut pg_sys::Node) -> String {
    // SAFETY: by contract; strVal is NUL-terminated.
    unsafe { str_at((*node.cast::<pg_sys::String>()).sval) }
}

/// A NUL-terminated copy in CurrentMemoryContext. NUL bytes inside end it, as in C.
#[must_use]
pub fn palloc_str(text: &str) -> *mut c_char {
    let end = text.find('\0').unwrap_or(text.len());
    let text = CString::new(&text[..end]).unwrap_or_default();
    // SAFETY: a NUL-terminated string; pstrdup copies it.
    unsafe { pg_sys::pstrdup(text.as_ptr()) }
}

/// A NUL-terminated copy of bytes in the server encoding, in CurrentMemoryContext.
#[must_use]
pub fn palloc_bytes(bytes: &[u8]) -> *mut c_char {
    // SAFETY: pnalloc gives len + 1 bytes, all of which are written.
    unsafe {
        let copy = pg_sys::palloc(bytes.len() + 1).cast::<u8>();
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), copy, bytes.len());
        copy.add(bytes.len()).write(0);
        copy.cast()
    }
}

/// A C string of PostgreSQL's as a `String`; empty for NULL.
///
/// # Safety
/// `text` is NULL or NUL-terminated.
#[must_use]
pub unsafe fn str_at(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: by contract.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// Whether the node is of the given type.
///
/// # Safety
/// `node` is NULL or a live node.
#[must_use]
pub unsafe fn is_a(node: *mut pg_sys::Node, tag: pg_sys::NodeTag) -> bool {
    // SAFETY: every node starts with its tag.
    !node.is_null() && unsafe { (*node).type_ } == tag
}

/// The node as a `T` when its tag says so.
///
/// # Safety
/// `node` is NULL or a live node, and `tag` is the tag of `T`.
#[must_use]
pub unsafe fn cast<T>(node: *mut pg_sys::Node, tag: pg_sys::NodeTag) -> Option<*mut T> {
    // SAFETY: by contract.
    unsafe { is_a(node, tag) }.then_some(node.cast())
}

type WalkFn<'a> = &'a mut dyn FnMut(*mut pg_sys::Node) -> bool;

/// Walks an expression or a query, sub-queries included. `visit` is called for every node, a Query
/// among them; it returns `true` to stop the walk.
///
/// # Safety
/// `node` is NULL or a live node tree of parse analysis.
pub unsafe fn walk(node: *mut pg_sys::Node, visit: WalkFn<'_>) -> bool {
    // SAFETY: by contract.
    unsafe { walk_from(node, visit) }
}

/// The walk of every statement of the server goes through here: the frequent nodes are taken apart
/// in place, since a call of PostgreSQL's walker costs a `sigsetjmp` for each. The nodes below are
/// those that `expression_tree_walker` (nodes/nodeFuncs.c) visits. No tree is deeper than what parse
/// analysis has recursed into with larger frames.
///
/// # Safety
/// As [`walk`].
unsafe fn walk_from(
    node: *mut pg_sys::Node,
    visit: &mut dyn FnMut(*mut pg_sys::Node) -> bool,
) -> bool {
    use pg_sys::NodeTag as Tag;
    if node.is_null() {
        return false;
    }
    // SAFETY: by contract; each cast follows the tag.
    unsafe {
        if visit(node) {
            return true;
        }
        let mut all = |list| items::<pg_sys::Node>(list).any(|node| walk_from(node, visit));
        match (*node).type_ {
            Tag::T_Var
            | Tag::T_Const
            | Tag::T_Param
            | Tag::T_CaseTestExpr
            | Tag::T_SQLValueFunction
            | Tag::T_RangeTblRef
            | Tag::T_SortGroupClause
            // query_tree_walker goes into it by itself.
            | Tag::T_RangeTblEntry => false,
            Tag::T_List => all(node.cast()),
            Tag::T_TargetEntry => {
                walk_from((*node.cast::<pg_sys::TargetEntry>()).expr.cast(), visit)
            }
            Tag::T_OpExpr => all((*node.cast::<pg_sys::OpExpr>()).args),
            Tag::T_FuncExpr => all((*node.cast::<pg_sys::FuncExpr>()).args),
            Tag::T_BoolExpr => all((*node.cast::<pg_sys::BoolExpr>()).args),
            Tag::T_RelabelType => {
                walk_from((*node.cast::<pg_sys::RelabelType>()).arg.cast(), visit)
            }
            Tag::T_FromExpr => {
                let from = node.cast::<pg_sys::FromExpr>();
                all((*from).fromlist) || walk_from((*from).quals, visit)
            }
            _ => walk_below(node, visit),
        }
    }
}

/// What is inside of a node of another kind.
///
/// # Safety
/// As [`walk`]; the node is not NULL.
unsafe fn walk_below(node: *mut pg_sys::Node, visit: WalkFn<'_>) -> bool {
    #[pgrx::pg_guard]
    unsafe extern "C-unwind" fn walker(
        node: *mut pg_sys::Node,
        context: *mut std::ffi::c_void,
    ) -> bool {
        // SAFETY: `context` is the WalkFn that `walk_below` passed, alive during the walk; `node` is
        // live.
        unsafe { walk_from(node, *context.cast::<WalkFn<'_>>()) }
    }
    let mut visit = visit;
    let context = (&raw mut visit).cast();
    // SAFETY: by contract; the context outlives the calls.
    unsafe {
        if is_a(node, pg_sys::NodeTag::T_Query) {
            let flags = i32::try_from(pg_sys::QTW_EXAMINE_RTES_BEFORE).unwrap_or(0);
            return pg_sys::query_tree_walker(node.cast(), Some(walker), context, flags);
        }
        pg_sys::expression_tree_walker(node, Some(walker), context)
    }
}

/// Walks a raw parse tree below a statement that `raw_expression_tree_walker` knows (SELECT,
/// INSERT, UPDATE, DELETE, MERGE and everything inside). `visit` returns `true` to stop.
///
/// # Safety
/// `node` is NULL or a live raw parse tree.
pub unsafe fn walk_raw(node: *mut pg_sys::Node, visit: WalkFn<'_>) -> bool {
    #[pgrx::pg_guard]
    unsafe extern "C-unwind" fn walker(
        node: *mut pg_sys::Node,
        context: *mut std::ffi::c_void,
    ) -> bool {
        if node.is_null() {
            return false;
        }
        // SAFETY: as in `walk`.
        unsafe {
            let visit = &mut *context.cast::<WalkFn<'_>>();
            visit(node) || pg_sys::raw_expression_tree_walker(node, Some(walker), context)
        }
    }
    let mut visit = visit;
    // SAFETY: by contract.
    unsafe { walker(node, (&raw mut visit).cast()) }
}

/// What a visitor makes of a node.
pub enum Change {
    /// It is copied, and what is inside is visited.
    Descend,
    /// It becomes this.
    Into(*mut pg_sys::Node),
}

type MutateFn<'a> = &'a mut dyn FnMut(*mut pg_sys::Node, u32) -> Change;

struct Mutation<'a> {
    visit: MutateFn<'a>,
    /// How many queries there are around the node.
    depth: u32,
}

/// A copy of an expression with some nodes replaced, sub-queries included. `visit` is called for
/// each node with the number of sub-queries around it.
///
/// # Safety
/// `node` is NULL or a live expression of parse analysis.
pub unsafe fn mutate(node: *mut pg_sys::Node, visit: MutateFn<'_>) -> *mut pg_sys::Node {
    #[pgrx::pg_guard]
    unsafe extern "C-unwind" fn mutator(
        node: *mut pg_sys::Node,
        context: *mut std::ffi::c_void,
    ) -> *mut pg_sys::Node {
        if node.is_null() {
            return node;
        }
        // SAFETY: `context` is the Mutation that `mutate` passed; `node` is live.
        unsafe {
            let mutation = &mut *context.cast::<Mutation<'_>>();
            if let Change::Into(other) = (mutation.visit)(node, mutation.depth) {
                return other;
            }
            if is_a(node, pg_sys::NodeTag::T_Query) {
                mutation.depth += 1;
                let declared = Some(as_declared(mutator));
                let copy = query_mutator(node.cast(), declared, context, 0);
                (*context.cast::<Mutation<'_>>()).depth -= 1;
                return copy.cast();
            }
            expression_mutator(node, Some(as_declared(mutator)), context)
        }
    }
    let mut mutation = Mutation { visit, depth: 0 };
    // SAFETY: by contract; the context outlives the call.
    unsafe { mutator(node, (&raw mut mutation).cast()) }
}

type Mutator =
    unsafe extern "C-unwind" fn(*mut pg_sys::Node, *mut std::ffi::c_void) -> *mut pg_sys::Node;

/// Until version 15 the headers declare the callback without parameters.
#[cfg(feature = "pg15")]
fn as_declared(mutator: Mutator) -> unsafe extern "C-unwind" fn() -> *mut pg_sys::Node {
    // SAFETY: pointers to functions of one calling convention; PostgreSQL calls it with both
    // parameters.
    unsafe { std::mem::transmute(mutator) }
}

#[cfg(not(feature = "pg15"))]
fn as_declared(mutator: Mutator) -> Mutator {
    mutator
}

#[cfg(feature = "pg15")]
use pg_sys::{expression_tree_mutator as expression_mutator, query_tree_mutator as query_mutator};
#[cfg(not(feature = "pg15"))]
use pg_sys::{
    expression_tree_mutator_impl as expression_mutator, query_tree_mutator_impl as query_mutator,
};

/// A copy of a node and of everything in it.
///
/// # Safety
/// `node` is NULL or a live node.
#[must_use]
pub unsafe fn copy<T>(node: *mut T) -> *mut T {
    // SAFETY: by contract; a copy has the original's type.
    unsafe { pg_sys::copyObjectImpl(node.cast()).cast() }
}
