//! What becomes of a request, a connection, or the mastership of a pair of nodes, and why.

mod vrrp;
mod web;

use super::input::Given;
use super::report::{Failure, Report};
use std::net::IpAddr;

/// What `explain` is asked.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The request: `http://HOST[:PORT]/PATH`, `https://...`, or `tcp://IP:PORT` for a connection to the stream server, or `udp://IP:PORT` for datagrams.
    #[arg(required_unless_present = "vrrp")]
    url: Option<String>,
    /// The configuration that serves it.
    #[arg(short = 'c', long, value_name = "FILE", default_value = "/etc/nginx/nginx.conf")]
    conf: String,
    /// The client's address.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    from: IpAddr,
    /// The address the request is sent to, where the URL has a name.
    #[arg(long, value_name = "IP")]
    to: Option<IpAddr>,
    /// The request's method.
    #[arg(long, default_value = "GET")]
    method: String,
    /// A header of the request; once for each.
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Explains instead who of two nodes is master when what fails, and after how long.
    #[arg(long, num_args = 2, value_names = ["NODE-A.conf", "NODE-B.conf"], conflicts_with = "url")]
    vrrp: Option<Vec<String>>,
}

/// Explains.
///
/// # Errors
/// A file cannot be read or compiled, nobody listens there, the URL is none.
pub fn run(args: &Args, given: &Given) -> Result<Report, Failure> {
    match (&args.vrrp, &args.url) {
        (Some(nodes), _) => vrrp::run(nodes, given),
        (None, Some(url)) => web::run(url, args, given),
        (None, None) => Err(Failure("there is nothing to explain".to_owned())),
    }
}
