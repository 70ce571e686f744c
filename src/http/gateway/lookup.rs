//! The servers of an address that variables made: a group of the configuration, an IP address, or a name to be looked up.

use super::conf::Gateway;
use crate::http::heart::request::Request;
use crate::http::heart::upstream::Pool;
use crate::log::Level;
use crate::net::address::{Address, Endpoint, Host};
use crate::net::resolver::Lookup;
use crate::upstream::Group;
use crate::upstream::group::Choice;
use crate::upstream::names::Changing as _;
use std::future::{Future as _, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

/// Who is asked.
pub enum Servers {
    /// A group that is known.
    Known(Arc<Pool>),
    /// Whatever addresses a host has when the request is passed on.
    Host {
        /// The host.
        name: String,
        /// The port.
        port: u16,
    },
}

impl Servers {
    /// The servers of an address that is no group of the configuration; nothing for one without a port.
    pub fn of(text: &str, endpoint: Endpoint, port: Option<u16>) -> Option<Self> {
        let port = endpoint.port.or(port);
        let address = match endpoint.host {
            Host::Ip(ip) => Address::Ip(SocketAddr::new(ip, port?)),
            Host::Unix(path) => Address::Unix(path),
            Host::Name(name) => return Some(Self::Host { name, port: port? }),
            Host::Any => return None,
        };
        Some(Self::Known(pool(text, std::iter::once(address))))
    }

    /// The name of the group.
    pub fn name(&self) -> &str {
        match self {
            Self::Known(pool) => &pool.group.name,
            Self::Host { name, .. } => name,
        }
    }

    /// How a host would be asked, for a reader: its addresses are not known before.
    pub fn choice(name: &str, port: u16) -> Choice {
        Choice { method: "round robin", order: vec![format!("{name}:{port}")], turns: Vec::new(), key: None }
    }

    /// The group, with the addresses a host has now.
    ///
    /// # Errors
    /// The status to answer with where there are none; logged.
    pub async fn find(self, request: &mut Request, gateway: &Gateway) -> Result<Arc<Pool>, u16> {
        let (name, port) = match self {
            Self::Known(pool) => return Ok(pool.now()),
            Self::Host { name, port } => (name, port),
        };
        let location = request.location.clone();
        let Some(lookup) = location.attached::<Lookup>() else {
            request.log(Level::Error, &format!("no resolver defined to resolve {name}"));
            return Err(502);
        };
        let event_loop = request.event_loop().clone();
        let mut found = pin!(lookup.find(&name, &event_loop));
        let watch = !gateway.ignore_client_abort;
        let outcome = poll_fn(|cx| match found.as_mut().poll(cx) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            Poll::Pending if watch => request.poll_gone(cx).map(|()| None),
            Poll::Pending => Poll::Pending,
        });
        match outcome.await {
            Some(Ok(found)) => {
                let addresses = found.all.iter().map(|ip| Address::Ip(SocketAddr::new(*ip, port)));
                Ok(pool(&name, addresses))
            }
            Some(Err(unknown)) => {
                request.log(Level::Error, &Lookup::complaint(&name, unknown));
                Err(502)
            }
            None => {
                request.log(Level::Info, "epoll_wait() reported that client prematurely closed connection");
                request.response.broken = true;
                Err(499)
            }
        }
    }
}

/// A group of addresses that serves one request.
fn pool(name: &str, addresses: impl Iterator<Item = Address>) -> Arc<Pool> {
    let group = Group::implicit(name, addresses);
    Arc::new(Pool::of(group))
}
