//! A look at the parse analysis that is under way, from inside an input function.
//!
//! While the parser turns an unknown literal into a constant it has its own error callback on top of
//! the error context stack, with the ParseState and the literal's location as its argument
//! (`coerce_type` in parser/parse_coerce.c, `setup_parser_errposition_callback` in
//! parser/parse_node.c).

use pgrx::pg_sys;

use super::nodes;

/// A literal that the parser is coercing right now.
pub struct Literal {
    pstate: *mut pg_sys::ParseState,
    /// Its byte offset in the statement's text; -1 when unknown.
    pub location: i32,
}

type Callback = unsafe extern "C-unwind" fn(*mut std::ffi::c_void);

/// The address of the parser's own error callback, a static function of the server.
fn parser_callback() -> Option<Callback> {
    thread_local! {
        static ADDRESS: Option<Callback> = {
            let mut state = pg_sys::ParseCallbackState::default();
            // SAFETY: setup only links the callback into the stack and remembers its arguments;
            // cancel unlinks it.
            unsafe {
                pg_sys::setup_parser_errposition_callback(
                    &raw mut state,
                    std::ptr::null_mut(),
                    -1,
                );
                pg_sys::cancel_parser_errposition_callback(&raw mut state);
            }
            state.errcallback.callback
        };
    }
    ADDRESS.with(|address| *address)
}

/// The literal in a function of a FROM clause that is being coerced, if that is what is going on.
#[must_use]
pub fn literal_in_from() -> Option<Literal> {
    // SAFETY: the stack's top is live while its frame is; its argument is a ParseCallbackState when
    // the callback is the parser's own, and that state holds a live ParseState.
    unsafe {
        let top = pg_sys::error_context_stack;
        if top.is_null() || (*top).callback? as usize != parser_callback()? as usize {
            return None;
        }
        let state = (*top).arg.cast::<pg_sys::ParseCallbackState>();
        let pstate = (*state).pstate;
        let from = pg_sys::ParseExprKind::EXPR_KIND_FROM_FUNCTION;
        if pstate.is_null() || (*pstate).p_expr_kind != from {
            return None;
        }
        Some(Literal { pstate, location: (*state).location })
    }
}

/// A function call as it stands in the statement's text.
pub struct Call {
    /// The last part of the function's name.
    pub name: String,
    call: *mut pg_sys::FuncCall,
}

/// Whether an argument is a parameter of the statement whose type the client has left open.
///
/// # Safety
/// A live expression.
#[must_use]
pub unsafe fn is_untyped_parameter(node: *mut pg_sys::Node) -> bool {
    // SAFETY: by contract.
    unsafe {
        nodes::cast::<pg_sys::Param>(node, pg_sys::NodeTag::T_Param).is_some_and(|param| {
            (*param).paramkind == pg_sys::ParamKind::PARAM_EXTERN
                && (*param).paramtype == pg_sys::UNKNOWNOID
        })
    }
}

/// Gives such a parameter a type, as the parser does where it meets one in an expression. What the
/// parser does not do later on is left to its own error.
///
/// # Safety
/// A live parameter of the statement that `pstate` analyses.
pub unsafe fn give_type(
    pstate: *mut pg_sys::ParseState,
    param: *mut pg_sys::Param,
    type_oid: pg_sys::Oid,
) {
    // SAFETY: by contract; the hook is the parser's own, which may raise errors.
    unsafe {
        let Some(hook) = pstate.as_ref().and_then(|state| state.p_coerce_param_hook) else {
            return;
        };
        let location = (*param).location;
        pgrx::pg_sys::ffi::pg_guard_ffi_boundary(|| hook(pstate, param, type_oid, -1, location));
    }
}

impl Literal {
    /// The function call whose direct argument the literal is, found by parsing the statement's
    /// text again (without analysis). `None` when the text is not at hand.
    ///
    /// # Safety
    /// Within the input function that made this literal.
    #[must_use]
    pub unsafe fn enclosing_call(&self) -> Option<Call> {
        if self.location < 0 {
            return None;
        }
        // SAFETY: the ParseState is live, as is its source text.
        unsafe {
            let text = (*self.pstate).p_sourcetext;
            if text.is_null() {
                return None;
            }
            let modes = [
                pg_sys::RawParseMode::RAW_PARSE_DEFAULT,
                pg_sys::RawParseMode::RAW_PARSE_PLPGSQL_EXPR,
                pg_sys::RawParseMode::RAW_PARSE_PLPGSQL_ASSIGN1,
                pg_sys::RawParseMode::RAW_PARSE_PLPGSQL_ASSIGN2,
                pg_sys::RawParseMode::RAW_PARSE_PLPGSQL_ASSIGN3,
            ];
            // A text that was parsed once parses in one of the modes; a syntax error in the wrong
            // one is caught and forgotten.
            modes.into_iter().find_map(|mode| {
                let parsed = pgrx::PgTryBuilder::new(|| pg_sys::raw_parser(text, mode))
                    .catch_others(|_| std::ptr::null_mut())
                    .execute();
                find_call(parsed, self.location)
            })
        }
    }

    /// The arguments of `call` after the literal, analysed as the parser has analysed them.
    ///
    /// # Safety
    /// As [`Literal::enclosing_call`]; `call` came from it.
    #[must_use]
    pub unsafe fn analyzed_arguments(&self, call: &Call) -> Vec<*mut pg_sys::Node> {
        // SAFETY: transformExpr takes a raw expression and analyses it in the live ParseState, as
        // it did for the same expression a moment ago.
        unsafe {
            nodes::items::<pg_sys::Node>((*call.call).args)
                .skip(1)
                .map(|argument| {
                    let kind = pg_sys::ParseExprKind::EXPR_KIND_FROM_FUNCTION;
                    pg_sys::transformExpr(self.pstate, argument, kind)
                })
                .collect()
        }
    }
}

/// A constant that stands in the text as an argument.
#[derive(Clone, Debug, PartialEq)]
pub enum Constant {
    Null,
    Boolean(bool),
    Number(String),
    Text(String),
    List(Vec<Constant>),
}

/// Options of a call: the name, if one is given, and the value.
pub type Options = Vec<(Option<String>, Constant)>;

impl Call {
    /// See [`options_of_call`].
    ///
    /// # Errors
    /// The name or the number of the first argument that is not a constant.
    ///
    /// # Safety
    /// Within the input function that made the literal.
    pub unsafe fn constant_options(&self) -> std::result::Result<Options, String> {
        // SAFETY: the raw tree lives in the memory context of the input function's caller.
        unsafe { options_of_call(self.call) }
    }
}

/// The arguments of a raw call after the first, each with its name if it has one.
///
/// # Errors
/// The name or the number of the first argument that is not a constant.
///
/// # Safety
/// `call` is a live raw call.
pub unsafe fn options_of_call(call: *mut pg_sys::FuncCall) -> std::result::Result<Options, String> {
    // SAFETY: by contract.
    unsafe {
        nodes::items::<pg_sys::Node>((*call).args)
            .enumerate()
            .skip(1)
            .map(|(index, argument)| {
                let tag = pg_sys::NodeTag::T_NamedArgExpr;
                let (name, value) = match nodes::cast::<pg_sys::NamedArgExpr>(argument, tag) {
                    Some(named) => {
                        (Some(nodes::str_at((*named).name)), (*named).arg.cast::<pg_sys::Node>())
                    }
                    None => (None, argument),
                };
                match constant(value) {
                    Some(value) => Ok((name, value)),
                    None => Err(name.unwrap_or_else(|| (index + 1).to_string())),
                }
            })
            .collect()
    }
}

/// The constant that an expression is, if it is one.
///
/// # Safety
/// `node` is a live raw expression.
#[must_use]
pub unsafe fn constant(node: *mut pg_sys::Node) -> Option<Constant> {
    // SAFETY: by contract; each cast follows the tag.
    unsafe {
        if let Some(cast) = nodes::cast::<pg_sys::TypeCast>(node, pg_sys::NodeTag::T_TypeCast) {
            let value = constant((*cast).arg)?;
            // 'true'::boolean is how older clients write a Boolean constant.
            let names = (*(*cast).typeName).names;
            let type_name =
                nodes::items::<pg_sys::Node>(names).last().map(|n| nodes::string_value(n));
            return Some(match (value, type_name.as_deref()) {
                (Constant::Text(text), Some("bool")) => {
                    Constant::Boolean(text.starts_with(['t', 'T', 'y', 'Y', '1']))
                }
                (value, _) => value,
            });
        }
        if let Some(array) =
            nodes::cast::<pg_sys::A_ArrayExpr>(node, pg_sys::NodeTag::T_A_ArrayExpr)
        {
            let elements = nodes::items::<pg_sys::Node>((*array).elements);
            return elements.map(|e| constant(e)).collect::<Option<_>>().map(Constant::List);
        }
        let constant = nodes::cast::<pg_sys::A_Const>(node, pg_sys::NodeTag::T_A_Const)?;
        if (*constant).isnull {
            return Some(Constant::Null);
        }
        let value = &raw mut (*constant).val;
        let value = value.cast::<pg_sys::Node>();
        Some(match (*value).type_ {
            pg_sys::NodeTag::T_Integer => {
                Constant::Number((*value.cast::<pg_sys::Integer>()).ival.to_string())
            }
            pg_sys::NodeTag::T_Float => {
                Constant::Number(nodes::str_at((*value.cast::<pg_sys::Float>()).fval))
            }
            pg_sys::NodeTag::T_Boolean => {
                Constant::Boolean((*value.cast::<pg_sys::Boolean>()).boolval)
            }
            pg_sys::NodeTag::T_String => Constant::Text(nodes::string_value(value)),
            _ => return None,
        })
    }
}

/// # Safety
/// `parsed` is NIL or a list of RawStmt.
unsafe fn find_call(parsed: *mut pg_sys::List, location: i32) -> Option<Call> {
    // SAFETY: by contract.
    unsafe {
        // The walker knows no utility statements, which may stand beside the one that is meant.
        let holds = |statement: &*mut pg_sys::RawStmt| {
            let (start, length) = ((**statement).stmt_location, (**statement).stmt_len);
            start <= location && (length == 0 || location < start.saturating_add(length))
        };
        nodes::items::<pg_sys::RawStmt>(parsed)
            .filter(holds)
            .find_map(|statement| find_in_statement((*statement).stmt, location))
    }
}

/// The statements inside a utility statement, as far as they may hold a FROM clause.
///
/// # Safety
/// `statement` is a live raw statement.
pub unsafe fn inner_statements(statement: *mut pg_sys::Node) -> Vec<*mut pg_sys::Node> {
    use pg_sys::NodeTag as Tag;
    // SAFETY: each cast follows the tag.
    unsafe {
        match (*statement).type_ {
            Tag::T_ExplainStmt => vec![(*statement.cast::<pg_sys::ExplainStmt>()).query],
            Tag::T_CreateTableAsStmt => {
                vec![(*statement.cast::<pg_sys::CreateTableAsStmt>()).query]
            }
            Tag::T_ViewStmt => vec![(*statement.cast::<pg_sys::ViewStmt>()).query],
            Tag::T_PrepareStmt => vec![(*statement.cast::<pg_sys::PrepareStmt>()).query],
            Tag::T_DeclareCursorStmt => {
                vec![(*statement.cast::<pg_sys::DeclareCursorStmt>()).query]
            }
            Tag::T_CopyStmt => vec![(*statement.cast::<pg_sys::CopyStmt>()).query],
            Tag::T_RawStmt => vec![(*statement.cast::<pg_sys::RawStmt>()).stmt],
            Tag::T_CreateFunctionStmt => {
                vec![(*statement.cast::<pg_sys::CreateFunctionStmt>()).sql_body]
            }
            Tag::T_ReturnStmt => vec![(*statement.cast::<pg_sys::ReturnStmt>()).returnval],
            Tag::T_CallStmt => vec![(*statement.cast::<pg_sys::CallStmt>()).funccall.cast()],
            Tag::T_RuleStmt => {
                let rule = statement.cast::<pg_sys::RuleStmt>();
                let actions = nodes::items::<pg_sys::Node>((*rule).actions);
                actions.chain([(*rule).whereClause]).collect()
            }
            Tag::T_CreatePolicyStmt => {
                let policy = statement.cast::<pg_sys::CreatePolicyStmt>();
                vec![(*policy).qual, (*policy).with_check]
            }
            Tag::T_AlterPolicyStmt => {
                let policy = statement.cast::<pg_sys::AlterPolicyStmt>();
                vec![(*policy).qual, (*policy).with_check]
            }
            // BEGIN ATOMIC holds a list of lists of statements.
            Tag::T_List => nodes::items::<pg_sys::Node>(statement.cast()).collect(),
            _ => vec![],
        }
    }
}

/// # Safety
/// `statement` is NULL or a live raw statement.
unsafe fn find_in_statement(statement: *mut pg_sys::Node, location: i32) -> Option<Call> {
    if statement.is_null() {
        return None;
    }
    // SAFETY: by contract.
    unsafe {
        let inner = inner_statements(statement);
        if !inner.is_empty() {
            return inner.into_iter().find_map(|inner| find_in_statement(inner, location));
        }
        let mut found = None;
        nodes::walk_raw(statement, &mut |node| {
            if let Some(call) = nodes::cast::<pg_sys::FuncCall>(node, pg_sys::NodeTag::T_FuncCall)
                && first_argument_is_at(call, location)
            {
                let parts = nodes::items::<pg_sys::Node>((*call).funcname);
                let name = parts.last().map(|n| nodes::string_value(n)).unwrap_or_default();
                found = Some(Call { name, call });
            }
            found.is_some()
        });
        found
    }
}

/// Whether the call's first argument is the literal at `location`.
///
/// # Safety
/// `call` is a live raw function call.
unsafe fn first_argument_is_at(call: *mut pg_sys::FuncCall, location: i32) -> bool {
    // SAFETY: by contract.
    unsafe {
        let Some(first) = nodes::items::<pg_sys::Node>((*call).args).next() else { return false };
        literal_of(first).is_some_and(|constant| (*constant).location == location)
    }
}

/// The constant that an argument is, seen through its name (`sql => '…'`) and a cast
/// (`'…'::duckdb.sql`).
///
/// # Safety
/// `argument` is a live raw expression.
#[must_use]
pub unsafe fn literal_of(argument: *mut pg_sys::Node) -> Option<*mut pg_sys::A_Const> {
    // SAFETY: by contract; each cast follows the tag.
    unsafe {
        let tag = pg_sys::NodeTag::T_NamedArgExpr;
        if let Some(named) = nodes::cast::<pg_sys::NamedArgExpr>(argument, tag) {
            return literal_of((*named).arg.cast());
        }
        if let Some(cast) = nodes::cast::<pg_sys::TypeCast>(argument, pg_sys::NodeTag::T_TypeCast) {
            return literal_of((*cast).arg);
        }
        nodes::cast::<pg_sys::A_Const>(argument, pg_sys::NodeTag::T_A_Const)
    }
}
