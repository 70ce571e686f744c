use super::*;
use crate::conf::expand::Environment;
use crate::conf::source::Memory;
use crate::keepalived::log::Style;
use crate::keepalived::read;
use crate::keepalived::slot::Machine;
use std::cell::RefCell;
use std::rc::Rc;

/// IPVS in memory, which others can look into.
#[derive(Clone, Default)]
struct Shown(Rc<RefCell<Table>>);

impl Ipvs for Shown {
    fn request(&mut self, request: &Request) -> io::Result<()> {
        self.0.borrow_mut().request(request)
    }

    fn timeouts(&mut self) -> io::Result<Timeouts> {
        self.0.borrow_mut().timeouts()
    }
}

fn log() -> Log {
    Log::new("test", &Style { console: false, detail: false, facility: None })
}

fn server(entries: &str) -> VirtualServer {
    let text = format!(
        "virtual_server_group g {{\n{entries}}}\nvirtual_server group g {{\n protocol TCP\n lb_algo rr\n lb_kind DR\n \
         real_server 10.0.0.1 {{\n weight 3\n }}\n}}\n"
    );
    let machine = Machine { has_interface: &|_| true, has_user: &|_, _| true, read_secret: &|_| None };
    let loader = Memory::of("/k.conf", &text);
    let reading = read::read(&loader, "/k.conf", &Environment::default(), &machine).unwrap();
    assert_eq!(reading.complaints, []);
    reading.site.servers[0].clone()
}

const REAL: Change = Change::Member { verb: Verb::Add, member: Member::Real(0), weight: 3, alive: false };

fn key(ip: &str) -> Key {
    Key::Address(Protocol::Tcp, ip.parse().unwrap(), 80)
}

#[test]
fn every_address_of_a_group_is_a_service() {
    let table = Shown::default();
    let (mut kernel, log) = (Kernel::of(Some(Box::new(table.clone()))), log());
    let server = server(" 10.9.9.1-3 80\n fwmark 5\n");
    assert!(kernel.apply(&server, Change::Service(Verb::Add), &log) && kernel.apply(&server, REAL, &log));
    let real = "10.0.0.1".parse().unwrap();
    for ip in ["10.9.9.1", "10.9.9.2", "10.9.9.3"] {
        assert_eq!(table.0.borrow().weights(&key(ip)), Some(vec![(real, 80, 3)]), "{ip}");
    }
    // A firewall mark has no port.
    assert_eq!(table.0.borrow().weights(&Key::Mark(5, false)), Some(vec![(real, 0, 3)]));
}

#[test]
fn an_entry_that_leaves_its_group_takes_its_service_along() {
    let table = Shown::default();
    let (mut kernel, log) = (Kernel::of(Some(Box::new(table.clone()))), log());
    let server = server(" 10.9.9.1 80\n 10.9.9.7 80\n");
    kernel.apply(&server, Change::Service(Verb::Add), &log);
    kernel.apply(&server, REAL, &log);
    kernel.drop_entry(&server, &server.entries[1], &[REAL], &log);
    assert_eq!(table.0.borrow().weights(&key("10.9.9.7")), None);
    assert!(table.0.borrow().weights(&key("10.9.9.1")).is_some());
}

#[test]
fn an_entry_the_kernel_refuses_does_not_stop_the_others() {
    let mut table = Shown::default();
    let (mut kernel, log) = (Kernel::of(Some(Box::new(table.clone()))), log());
    let server = server(" 10.9.9.1 80\n 10.9.9.7 80\n");
    assert!(kernel.apply(&server, Change::Service(Verb::Add), &log));
    // Somebody else took the first service away.
    let first = Service { key: key("10.9.9.1"), ..server.service.clone() };
    table.request(&Request::DeleteService(first)).unwrap();
    assert!(!kernel.apply(&server, REAL, &log));
    let real = "10.0.0.1".parse().unwrap();
    assert_eq!(table.0.borrow().weights(&key("10.9.9.7")), Some(vec![(real, 80, 3)]));
}
