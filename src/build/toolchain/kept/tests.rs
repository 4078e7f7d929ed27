use super::*;

fn filled(shelf: &Shelf) -> (PathBuf, PathBuf) {
    let staging = shelf.stage().unwrap();
    fs::create_dir_all(staging.dir().join("bin")).unwrap();
    fs::write(staging.dir().join("bin/tool"), "a program").unwrap();
    std::os::unix::fs::symlink("tool", staging.dir().join("bin/other")).unwrap();
    let version = "1.2.3".parse().unwrap();
    let dir = shelf
        .put(&staging, &version, &["tool@1.2.3".into()])
        .unwrap();
    let program = dir.join("bin/tool");
    (dir, program)
}

#[test]
fn what_was_put_in_its_place_is_whole_until_one_of_its_files_changes() {
    let home = tempfile::tempdir().unwrap();
    let shelf = Shelf::at(home.path().join("tool"));
    let (dir, program) = filled(&shelf);
    assert_eq!(shelf.versions(), ["1.2.3".parse().unwrap()]);
    assert!(Verified::default().is_whole(&dir, &program));
    fs::write(dir.join("bin/cache.pyc"), "none of ours").unwrap();
    assert!(Verified::default().is_whole(&dir, &program));

    let verified = Verified::default();
    assert!(verified.is_whole(&dir, &program));
    let spoilers: [fn(&Path) -> io::Result<()>; 5] = [
        |dir| fs::write(dir.join("bin/tool"), "b program"),
        |dir| fs::write(dir.join("bin/tool"), ""),
        |dir| fs::remove_file(dir.join("bin/other")),
        |dir| fs::write(dir.join(MANIFEST), "{"),
        |dir| fs::set_permissions(dir.join("bin/tool"), fs::Permissions::from_mode(0o600)),
    ];
    for spoil in spoilers {
        let (dir, program) = filled(&shelf);
        assert!(Verified::default().is_whole(&dir, &program));
        spoil(&dir).unwrap();
        assert!(!Verified::default().is_whole(&dir, &program));
    }
    // What was compared once is compared again when the program is another.
    let (dir, program) = filled(&shelf);
    assert!(verified.is_whole(&dir, &program));
    fs::write(&program, "c program").unwrap();
    assert!(!verified.is_whole(&dir, &program));
}

#[test]
fn what_was_cut_off_is_never_there_and_is_removed_before_the_next() {
    let home = tempfile::tempdir().unwrap();
    let shelf = Shelf::at(home.path().join("tool"));
    let staging = shelf.stage().unwrap();
    fs::write(staging.dir().join("half"), "").unwrap();
    let left = staging.dir().to_owned();
    std::mem::forget(staging); // as a killed server does
    fs::create_dir(shelf.of(&"2.0.0".parse().unwrap())).unwrap(); // and somebody else
    assert!(shelf.versions().is_empty());
    let next = shelf.stage().unwrap();
    assert!(!left.exists());
    let dir = next.dir().to_owned();
    drop(next);
    assert!(!dir.exists());
}
