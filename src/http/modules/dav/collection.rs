//! DELETE, COPY and MOVE of files and of folders with all that is in them.

use super::{Depth, Files, Method, depth, failed, refuse_body, tree};
use crate::conf::bytes;
use crate::http::codec::uri;
use crate::http::heart::request::Request;
use crate::http::route::rename::{self, make_folder, os};
use crate::log::Level;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::PermissionsExt as _;

impl Files {
    /// Removes what the path names.
    pub fn delete(&self, request: &Request) -> Result<u16, u16> {
        refuse_body(request, "DELETE with body is unsupported")?;
        self.check_depth(request)?;
        if request.lost_alias() {
            return Err(500);
        }
        let path = request.file_path();
        let about = std::fs::symlink_metadata(os(&path)).map_err(|error| {
            let status = if error.raw_os_error() == Some(libc::ENOTDIR) { 409 } else { 404 };
            failed(request, "lstat()", &path, &error, status)
        })?;
        if about.is_dir() {
            if !request.uri.ends_with(b"/") {
                let text = crate::conf::walk::errno(&io::Error::from_raw_os_error(libc::EISDIR));
                request.log(Level::Error, &format!("DELETE \"{}\" failed ({text})", bytes::text(&path)));
                return Err(409);
            }
            if depth(request, Depth::Infinity) != Some(Depth::Infinity) {
                request.log(Level::Error, "\"Depth\" header must be infinity");
                return Err(400);
            }
        } else if !matches!(depth(request, Depth::Zero), Some(Depth::Zero | Depth::Infinity)) {
            request.log(Level::Error, "\"Depth\" header must be 0 or infinity");
            return Err(400);
        }
        tree::delete(request, &path, about.is_dir())?;
        Ok(204)
    }

    /// 409 where the path is less deep than `min_delete_depth` says.
    fn check_depth(&self, request: &Request) -> Result<(), u16> {
        if self.min_depth == 0 {
            return Ok(());
        }
        let mut depth = 0;
        for at in memchr::memchr_iter(b'/', &request.uri) {
            depth += 1;
            if depth >= self.min_depth && at + 1 < request.uri.len() {
                return Ok(());
            }
        }
        request.log(Level::Error, &format!("insufficient URI depth:{depth} to DELETE"));
        Err(409)
    }

    /// Copies or moves what the path names to the path of the Destination header.
    pub fn copy_or_move(&self, request: &mut Request, method: Method) -> Result<u16, u16> {
        refuse_body(request, "COPY and MOVE with body are unsupported")?;
        let (named, target) = destination(request)?;
        match (depth(request, Depth::Infinity), method) {
            (Some(Depth::Infinity), _) | (Some(Depth::Zero), Method::Copy) => {}
            (_, Method::Copy) => {
                request.log(Level::Error, "\"Depth\" header must be 0 or infinity");
                return Err(400);
            }
            _ => {
                request.log(Level::Error, "\"Depth\" header must be infinity");
                return Err(400);
            }
        }
        let overwrites = overwrite(request)?;
        if request.lost_alias() {
            return Err(500);
        }
        let from = request.file_path();
        let own = std::mem::replace(&mut request.uri, target);
        let mut to = request.file_path();
        request.uri = own;
        let slash = to.ends_with(b"/");
        if slash {
            to.pop();
        }
        let there = match std::fs::symlink_metadata(os(&to)) {
            Ok(about) => Some(about),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => None,
            Err(error) => return Err(failed(request, "lstat()", &to, &error, 404)),
        };
        if let Some(about) = &there {
            if about.is_dir() && !slash {
                let verb = bytes::text(request.method_name());
                let (uri, named) = (bytes::text(&request.uri), bytes::text(&named));
                let text = format!("\"{uri}\" could not be {verb}ed to collection \"{named}\"");
                request.log(Level::Error, &text);
                return Err(409);
            }
            if !overwrites {
                let text = crate::conf::walk::errno(&io::Error::from_raw_os_error(libc::EEXIST));
                request.log(Level::Error, &format!("\"{}\" could not be created ({text})", bytes::text(&to)));
                return Err(412);
            }
        }
        let about =
            std::fs::symlink_metadata(os(&from)).map_err(|error| failed(request, "lstat()", &from, &error, 404))?;
        if about.is_dir() {
            return folder(request, method, (from, &about), (&to, there.as_ref()));
        }
        if method == Method::Move {
            let renamed = rename::Rename { access: None, folders: Some(self.access) };
            return renamed.run(request, &from, &to).map(|()| 204).map_err(|rename::Failed| 500);
        }
        rename::copy_file(request, &from, &to, &about).map(|()| 204).map_err(|rename::Failed| 500)
    }
}

/// Copies or moves a folder; what is at its target is removed before.
fn folder(
    request: &Request,
    method: Method,
    (named, about): (Vec<u8>, &Metadata),
    (to, there): (&[u8], Option<&Metadata>),
) -> Result<u16, u16> {
    if !request.uri.ends_with(b"/") {
        request.log(Level::Error, &format!("\"{}\" is collection", bytes::text(&request.uri)));
        return Err(400);
    }
    if let Some(there) = there {
        tree::delete(request, to, there.is_dir())?;
    }
    let from = named.strip_suffix(b"/").unwrap_or(&named);
    if method == Method::Move && std::fs::rename(os(from), os(to)).is_ok() {
        return Ok(201);
    }
    make_folder(to, about.permissions().mode() & 0o777).map_err(|error| failed(request, "mkdir()", to, &error, 404))?;
    tree::copy_inside(request, from, to).map_err(|rename::Failed| 500_u16)?;
    if method == Method::Move {
        tree::delete(request, &named, true)?;
    }
    Ok(201)
}

/// The Destination header, and the decoded path in it.
fn destination(request: &Request) -> Result<(Vec<u8>, Vec<u8>), u16> {
    let wrong = |text: &str| {
        request.log(Level::Error, text);
        400
    };
    let Some(value) = request.head.named(b"destination").next() else {
        return Err(wrong("client sent no \"Destination\" header"));
    };
    let shown = bytes::text(value);
    let invalid = || wrong(&format!("client sent invalid \"Destination\" header: \"{shown}\""));
    let target = if value.starts_with(b"/") {
        value
    } else {
        if request.host.is_empty() {
            return Err(wrong("client sent no \"Host\" header"));
        }
        let scheme: &[u8] = if request.connection.secure.get() { b"https://" } else { b"http://" };
        let rest = value.strip_prefix(scheme).ok_or_else(invalid)?;
        let rest = rest.strip_prefix(request.host.as_slice()).ok_or_else(|| {
            let text = "is handled by different repository than the source URI";
            wrong(&format!("\"Destination\" URI \"{shown}\" {text}"))
        })?;
        let slash = memchr::memchr(b'/', rest).ok_or_else(invalid)?;
        rest.get(slash..).unwrap_or_default()
    };
    let Some((path, _)) = uri::safe(target) else {
        request.log(Level::Error, &format!("unsafe URI \"{}\" was detected", bytes::text(target)));
        return Err(invalid());
    };
    if request.uri.ends_with(b"/") != value.ends_with(b"/") {
        let uri = bytes::text(&request.uri);
        let text = "should be either collections or non-collections";
        request.log(Level::Error, &format!("both URI \"{uri}\" and \"Destination\" URI \"{shown}\" {text}"));
        return Err(409);
    }
    Ok((value.to_vec(), path))
}

/// Whether what is at the target may be replaced: the Overwrite header.
fn overwrite(request: &Request) -> Result<bool, u16> {
    match request.head.named(b"overwrite").next() {
        None | Some(b"T" | b"t") => Ok(true),
        Some(b"F" | b"f") => Ok(false),
        Some(other) => {
            let shown = bytes::text(other);
            request.log(Level::Error, &format!("client sent invalid \"Overwrite\" header: \"{shown}\""));
            Err(400)
        }
    }
}
