use std::os::unix::fs::symlink;

use super::*;
use crate::build::toolchain::rig::Rig;

#[tokio::test]
async fn stand_ins_that_are_one_program_answer_each_for_itself() {
    let rig = Rig::with_node("22.3.0", "127");
    rig.install(
        "shim",
        r#"case "$0" in */pnpm) echo 10.1.0;; */yarn) echo 1.22.22;; esac"#,
    );
    for (name, version) in [("pnpm", "10.1.0"), ("yarn", "1.22.22")] {
        let path = rig.bin().join(name);
        symlink("shim", &path).unwrap();
        let answer = rig
            .toolbox
            .probed
            .manager(&[path], &rig.ask().marked())
            .await;
        assert_eq!(answer.unwrap().version.to_string(), version);
    }
}

#[tokio::test]
async fn a_program_is_asked_once_and_again_when_its_file_is_another() {
    let rig = Rig::with_node("22.3.0", "127");
    let asked = rig.bin().join("asked");
    let script = |version: &str| format!("echo >> {}; echo {version}", asked.display());
    let pnpm = [rig.bin().join("pnpm")];
    let times = || fs::read_to_string(&asked).unwrap().len();
    for (version, expected) in [("9.1.0", 1), ("10.1.0", 2)] {
        rig.install("pnpm", &script(version));
        for _ in 0..2 {
            let answer = rig.toolbox.probed.manager(&pnpm, &rig.ask().marked()).await;
            assert_eq!(answer.unwrap().version.to_string(), version);
        }
        assert_eq!(times(), expected);
    }
}
