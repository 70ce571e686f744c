//! Blocks whose setter reads the rows itself: `types`, `map`, `geo`.

use crate::conf::diagnostic::{At, Diagnostic};
use crate::conf::tree::{Block, Node, Statement};
use crate::conf::walk::Setting;

/// What is done with a row.
pub type Row<'a> = &'a mut dyn FnMut(&mut Setting<'_>, &Statement) -> Result<(), Diagnostic>;

/// Hands the rows of a block to `row`, `include`d ones in their place; an `include` without exactly one argument is a
/// row like another.
///
/// # Errors
/// A broken place, a block inside, a file that cannot be read, and whatever `row` says.
pub fn each(cx: &mut Setting<'_>, statement: &Statement, row: Row<'_>) -> Result<(), Diagnostic> {
    statement.block.as_ref().map_or(Ok(()), |block| inside(cx, block, row))
}

fn inside(cx: &mut Setting<'_>, block: &Block, row: Row<'_>) -> Result<(), Diagnostic> {
    for node in &block.nodes {
        let statement = match node {
            Node::Broken(complaint) => return Err(complaint.clone()),
            Node::Statement(statement) => statement,
        };
        one(cx, statement, row).map_err(|complaint| match complaint.at {
            At::Nowhere => complaint.at(statement.span),
            At::Span(_) | At::Unlined => complaint,
        })?;
    }
    Ok(())
}

fn one(cx: &mut Setting<'_>, statement: &Statement, row: Row<'_>) -> Result<(), Diagnostic> {
    if statement.block.is_some() {
        return Err(Diagnostic::emerg("unexpected \"{\""));
    }
    match statement.words.as_slice() {
        [name, pattern] if name.is("include") => {
            cx.include(&pattern.text())?.iter().try_for_each(|included| inside(cx, included, row))
        }
        _ => row(cx, statement),
    }
}
