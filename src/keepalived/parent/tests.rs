use super::*;

#[test]
fn a_pid_file_without_a_number_does_not_stop_the_start() {
    let path = std::env::temp_dir().join(format!("rha-parent-{}.pid", std::process::id()));
    let cases = [
        (String::new(), false, Some("Error reading pid file")),
        ("garbage\n".to_owned(), false, Some("Error reading pid file")),
        // The largest process id there can be is one less.
        (format!("{}\n", 1 << 22), false, Some("Remove a zombie pid file")),
        (format!("{}\n", std::process::id()), false, None),
        (format!("{}\n", nix::unistd::getppid()), true, None),
    ];
    for (text, running, line) in cases {
        std::fs::write(&path, &text).unwrap();
        let mut said = Vec::new();
        assert_eq!(is_running(&path, &mut |line| said.push(line)), running, "{text:?}");
        assert_eq!(said.is_empty(), line.is_none(), "{said:?}");
        assert!(
            line.is_none_or(|line| said[0].starts_with(line)) && path.exists() == line.is_none(),
            "{text:?} {said:?}"
        );
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn pid_files_and_log_lines_of_an_instance_have_its_name() {
    let site = |text: &str| {
        let machine = crate::keepalived::slot::Machine {
            has_interface: &|_| true,
            has_user: &|_, _| true,
            read_secret: &|_| None,
        };
        let memory = crate::conf::source::Memory::of("k", text);
        crate::keepalived::read::read(&memory, "k", &Environment::default(), &machine).unwrap().site
    };
    let shown = |text: &str| path(None, &site(text), "vrrp").display().to_string();
    assert_eq!(shown(""), "/run/vrrp.pid");
    assert_eq!(shown("use_pid_dir\n"), "/run/keepalived/vrrp.pid");
    assert_eq!(shown("instance blue\n"), "/run/keepalived/vrrp_blue.pid");
    assert_eq!(path(Some("/x"), &site("instance blue\n"), "vrrp"), Path::new("/x"));
    assert_eq!(["", "instance blue\n"].map(|text| ident(&site(text), "Keepalived")), ["Keepalived", "Keepalived_blue"]);
}
