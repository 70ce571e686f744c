//! Blocks whose setter reads the rows itself: `types`, `map`, `geo`.

use crate::conf::diagnostic::Diagnostic;
use crate::conf::tree::{Block, Node, Statement};
use crate::conf::walk::Setting;

/// The rows of a block, `include`d ones in their place.
///
/// # Errors
/// A broken place, or a file that cannot be read.
pub fn rows_of(cx: &mut Setting<'_>, statement: &Statement, rows: &mut Vec<Statement>) -> Result<(), Diagnostic> {
    statement.block.as_ref().map_or(Ok(()), |block| collect(cx, block, rows))
}

fn collect(cx: &mut Setting<'_>, block: &Block, rows: &mut Vec<Statement>) -> Result<(), Diagnostic> {
    for node in &block.nodes {
        let row = match node {
            Node::Broken(complaint) => return Err(complaint.clone()),
            Node::Statement(row) => row,
        };
        if !row.words.first().is_some_and(|word| word.is("include")) {
            rows.push(row.clone());
            continue;
        }
        let [_, pattern] = row.words.as_slice() else {
            return Err(Diagnostic::emerg("invalid number of arguments in \"include\" directive").at(row.span));
        };
        for included in cx.include(&pattern.text()).map_err(|complaint| complaint.at(row.span))? {
            collect(cx, &included, rows)?;
        }
    }
    Ok(())
}
