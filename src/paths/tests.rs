use super::*;

fn someone() -> Surroundings {
    Surroundings {
        home: Some("/home/ada".into()),
        xdg_runtime_dir: Some("/run/user/7".into()),
        ..Surroundings::default()
    }
}

#[test]
fn root_and_the_owner_of_the_system_home_get_the_system_directories() {
    let layout = Layout::choose(
        None,
        &Surroundings {
            system: true,
            ..someone()
        },
    )
    .unwrap();
    assert_eq!(
        layout.database(),
        Path::new("/var/lib/handover/handover.db")
    );
    assert_eq!(
        layout.control_socket(),
        Path::new("/run/handover/control.sock")
    );
    assert_eq!(layout.settings(), Path::new("/etc/handover/handover.toml"));
}

#[test]
fn a_user_gets_the_xdg_directories() {
    let layout = Layout::choose(None, &someone()).unwrap();
    assert_eq!(layout.home(), Path::new("/home/ada/.local/share/handover"));
    assert_eq!(layout.run(), Path::new("/run/user/7/handover"));
}

#[test]
fn a_given_home_holds_everything() {
    let layout = Layout::choose(
        Some(Path::new("/srv/h")),
        &Surroundings {
            system: true,
            ..someone()
        },
    )
    .unwrap();
    assert_eq!(layout.run(), Path::new("/srv/h/run"));
    assert_eq!(layout.settings(), Path::new("/srv/h/handover.toml"));
    let app = layout.app(&"shop".parse().unwrap());
    assert_eq!(
        app.generation_socket(GenerationNumber(57)),
        Path::new("/srv/h/run/shop/g57.sock")
    );
    assert_eq!(
        app.release(ReleaseNumber(4)),
        Path::new("/srv/h/apps/shop/releases/4")
    );
}

#[test]
fn a_socket_path_that_would_be_cut_is_refused_with_the_limit() {
    let layout =
        Layout::choose(Some(Path::new(&format!("/{}", "d".repeat(80)))), &someone()).unwrap();
    layout.check_sockets().unwrap();
    let error = layout
        .app(&"shop".parse().unwrap())
        .check_sockets()
        .unwrap_err();
    assert!(
        error.to_string().contains("UNIX sockets allow 107"),
        "{error}"
    );
}
