//! What an app's author has written, in any bytes: `handover.toml`, `Procfile` and `package.json` (in this order, with a
//! NUL byte between them). What is understood is within its limits and can be run; what is not is told with its place.

#![no_main]

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use handover::config::{
    AppConfig, AppFiles, AppSources, BuildCommand, ConfigError, LOCKFILES, NodeWishes, PackageJson,
    Place, Procfile, ServerSettings, ToolSources, check_lockfile,
};
use handover_fuzz::{assert_one_line, assert_shown};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut texts = data.splitn(3, |&byte| byte == 0);
    let mut next = || texts.next().unwrap_or_default();
    let (toml, procfile, package) = (next(), next(), next());
    if let Some(config) = understood(AppConfig::parse(toml), toml) {
        within_limits(&config);
    }
    understood(
        ServerSettings::parse(Path::new("handover.toml"), toml),
        toml,
    );
    if let Some(procfile) = understood(Procfile::parse(procfile), procfile) {
        sound(&procfile);
    }
    understood(PackageJson::parse(package), package);
    for (lockfile, _) in LOCKFILES {
        understood(check_lockfile(lockfile, package), package);
    }
    understood(NodeWishes::parse(None, Some(procfile), None), procfile);
    together(&AppSources {
        handover_toml: (!toml.is_empty()).then_some(toml),
        procfile: (!procfile.is_empty()).then_some(procfile),
        package_json: package,
        server_js: data.len() % 2 == 0,
    });
});

/// What came of a text; an error names at least one thing, each with a line that the text has.
fn understood<T>(parsed: Result<T, ConfigError>, text: &[u8]) -> Option<T> {
    let lines = text.split(|&byte| byte == b'\n').count();
    let error = match parsed {
        Ok(value) => return Some(value),
        Err(error) => error,
    };
    assert!(!error.problems().is_empty());
    assert_shown(&error);
    for problem in error.problems() {
        assert_one_line(problem);
        assert!(
            problem.line.is_none_or(|line| (1..=lines).contains(&line)),
            "{problem} in {lines} lines"
        );
    }
    None
}

fn within_limits(config: &AppConfig) {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let within = |value: Duration, range: RangeInclusive<Duration>| {
        assert!(range.contains(&value), "{value:?}")
    };
    let ms = Duration::from_millis;
    assert!((1..=64).contains(&config.web.instances));
    within(config.health.timeout, ms(1000)..=DAY);
    within(config.health.interval, ms(50)..=ms(60_000));
    within(config.drain.timeout, Duration::ZERO..=DAY);
    within(config.drain.stop_timeout, Duration::ZERO..=ms(600_000));
    within(config.build.timeout, ms(1000)..=DAY);
    within(config.watch, Duration::ZERO..=ms(3_600_000));
    // It goes into a request line as it is.
    let path = &config.health.path;
    assert!(path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()));
    for command in [&config.web.command, &config.build.command] {
        command.iter().for_each(|command| runnable(command));
    }
}

/// A program can be started with this as an argument.
fn runnable(text: &str) {
    assert!(!text.contains('\0') && !text.trim().is_empty(), "{text:?}");
}

fn sound(procfile: &Procfile) {
    for process in procfile.types() {
        runnable(&process.command);
        assert_eq!(
            procfile.command(&process.name),
            Some(process.command.as_str()),
            "each type is there once"
        );
    }
}

/// What is understood together can be run: no variable and no command that the system would refuse.
fn together(sources: &AppSources<'_>) {
    let Ok(files) = AppFiles::parse(sources) else {
        return;
    };
    if let Err(error) = files.clone().with_tools(&ToolSources::default()) {
        assert_shown(&error);
    }
    let place = Place {
        release: Path::new("/srv/releases/1"),
        path: "/usr/bin:/bin",
        node: None,
    };
    if let Ok(web) = files.web_command(&place) {
        runnable(&web.shell);
        for (name, value) in &web.env {
            assert!(!name.contains(['=', '\0']) && !value.contains('\0'));
        }
        assert!(web.env["PATH"].starts_with("/srv/releases/1/node_modules/.bin:"));
    }
    if let BuildCommand::Shell(command) = files.build_command() {
        runnable(&command);
    }
}
