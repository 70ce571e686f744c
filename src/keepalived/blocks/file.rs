//! `track_file`: a file whose number virtual routers may track.

use crate::conf::diagnostic::{Diagnostic, Severity};
use crate::conf::directive::{Arity, Directive};
use crate::conf::module::{Conf, Module, Scope};
use crate::conf::slot::Custom;
use crate::conf::tree::Statement;
use crate::conf::walk::Setting;
use crate::keepalived::contexts::FILE;
use crate::keepalived::slot::{again, complain, first, whole};

/// The keywords of tracked files.
pub const MODULE: Module = Module { name: "track_file", directives: DIRECTIVES, scopes: &[Scope::of::<File>(FILE)] };

const DIRECTIVES: &[Directive] = &[
    Directive::new("file", FILE, Arity::AtLeast(0), &Custom(path))
        .doc("Sets the path. The file holds one number; no file and no number mean 0."),
    Directive::new("weight", FILE, Arity::AtLeast(0), &Custom(weight))
        .implied("1")
        .doc("Sets what the number is multiplied by before it is added to the priority."),
    Directive::new("init_file", FILE, Arity::AtLeast(0), &Custom(init_file))
        .doc("Creates the file at start if it is not there; `overwrite` replaces it."),
];

/// A tracked file as configured.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// Its name.
    pub name: String,
    /// `file`.
    pub path: Option<String>,
    /// `weight`.
    pub weight: Option<i32>,
    /// `weight … reverse`.
    pub reverse: bool,
    /// `init_file`: the value, and whether an existing file is overwritten.
    pub init: Option<(i64, bool)>,
}

impl Conf for File {
    fn inherit(&mut self, _: &Self) {}
}

/// `track_file NAME {`.
///
/// # Errors
/// The name is taken.
pub fn open(cx: &mut Setting<'_>, file: &mut File, statement: &Statement) -> Result<(), Diagnostic> {
    if cx.row.name == "vrrp_track_file" {
        let text = "\"vrrp_track_file\" is deprecated, please use \"track_file\"";
        cx.report(Diagnostic::new(Severity::Notice, text).at(statement.span));
    }
    file.name = super::root::name(cx, statement)?;
    Ok(())
}

/// `}` of a file.
///
/// # Errors
/// There is no path.
pub fn close(cx: &mut Setting<'_>) -> Result<(), Diagnostic> {
    match cx.seen::<File>() {
        Some(file) if file.path.is_none() => {
            Err(complain(format!("No file set for track_file {} - ignoring", file.name)))
        }
        None => {
            let name = cx.level().and_then(|level| level.words.get(1)).map(|word| word.text().into_owned());
            Err(complain(format!("No file set for track_file {} - ignoring", name.unwrap_or_default())))
        }
        _ => Ok(()),
    }
}

fn path(_: &mut Setting<'_>, file: &mut File, statement: &Statement) -> Result<(), Diagnostic> {
    if statement.arguments().is_empty() {
        return Err(complain("track file file name missing"));
    }
    let path = first(statement);
    if file.path.is_some() {
        return Err(again(format!("File already set for track file {} - ignoring {path}", file.name)));
    }
    file.path = Some(path);
    Ok(())
}

fn weight(cx: &mut Setting<'_>, file: &mut File, statement: &Statement) -> Result<(), Diagnostic> {
    let (name, text) = (file.name.clone(), first(statement));
    if statement.arguments().is_empty() {
        return Err(complain(format!("No weight specified for track file {name} - ignoring")));
    }
    // 1 is what it is when it is not set.
    if file.weight.is_some_and(|weight| weight != 1) {
        return Err(again(format!("Weight already set for track file {name} - ignoring {text}")));
    }
    match whole(&text, &(-254..=254)) {
        Ok(weight) => file.weight = Some(weight as i32),
        Err(complaint) => {
            cx.report(complaint.at(statement.span));
            let text =
                format!("Weight ({text}) for track_file {name} must be between [-254..254] inclusive. Ignoring...");
            cx.report(complain(text).at(statement.span));
        }
    }
    match statement.arguments().get(1) {
        None => {}
        Some(word) if word.is("reverse") => file.reverse = true,
        Some(word) => return Err(complain(format!("track_file {name} unknown weight option {}", word.text()))),
    }
    Ok(())
}

fn init_file(cx: &mut Setting<'_>, file: &mut File, statement: &Statement) -> Result<(), Diagnostic> {
    let mut init = (0, false);
    for word in statement.arguments() {
        let (text, name) = (word.text(), &file.name);
        if word.is("overwrite") {
            init.1 = true;
        } else if !text.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
            cx.report(complain(format!("Unknown track file init option {text}")).at(statement.span));
        } else {
            match whole(&text, &(i64::from(i32::MIN)..=i64::from(i32::MAX))) {
                Ok(value) => {
                    init.0 = value;
                    if value.abs() > 254 {
                        let text =
                            format!("Track file {name} init value {value} is outside sensible range [-254, 254]");
                        cx.report(complain(text).at(statement.span));
                    }
                }
                Err(complaint) => {
                    cx.report(complaint.at(statement.span));
                    cx.report(complain(format!("Track file {name} init value {text} is invalid")).at(statement.span));
                }
            }
        }
    }
    file.init = Some(init);
    Ok(())
}
