//! Verbs about apps.

use std::io::{BufRead, IsTerminal};

use hyper::Method;

use super::address::{owner_of, ssh_address};
use super::args::{Create, Destroy, DomainChange, Domains, HooksVerb, OneApp, OptionalApp, Scale};
use super::exit::Exit;
use super::say::{Failed, data, json, words};
use super::table::table;
use crate::control::Client;
use crate::control::types::{
    self, AppState, AppStatus, CreateApp, CreatedApp, Domain, Nginx, RemoveHooks, Status,
};
use crate::report::size_text;

pub(super) async fn create(client: &Client, create: Create) -> Result<Exit, Failed> {
    let wanted = CreateApp {
        name: create.name,
        branch: Some(create.branch),
        gate: !create.no_gate,
        hosts: create.domains,
        repo: None,
    };
    let created: CreatedApp = client.call(Method::POST, "/v1/apps", &wanted).await?;
    tell_created(&created, create.json);
    Ok(Exit::Done)
}

/// The last line on stdout is what `git remote add` takes.
fn tell_created(created: &CreatedApp, as_json: bool) {
    let url = created.repo.display();
    for note in &created.notes {
        words(note);
    }
    words(&format!(
        "created {}; pushes to {} deploy it. In your project:",
        created.name, created.branch
    ));
    words(&format!("  git remote add production {url}"));
    words(&format!("  git push production {}", created.branch));
    if let Some(address) = ssh_address(&created.name, owner_of(&created.repo), None) {
        words(&format!(
            "(from another machine, over ssh, with a key that was let in by `handover keys add`: git remote add production {address})"
        ));
    }
    if as_json {
        json(created);
    } else {
        data(&url.to_string());
    }
}

pub(super) async fn destroy(client: &Client, destroy: Destroy) -> Result<Exit, Failed> {
    let app: AppStatus = client.get(&format!("/v1/apps/{}", destroy.name)).await?;
    if !destroy.yes && std::io::stdin().is_terminal() && !confirmed(&app) {
        words("nothing was deleted");
        return Ok(Exit::Failed);
    }
    let () = client
        .call(Method::DELETE, &format!("/v1/apps/{}", destroy.name), &())
        .await?;
    words(&format!("{} is stopped and deleted", destroy.name));
    Ok(Exit::Done)
}

fn confirmed(app: &AppStatus) -> bool {
    words(&format!(
        "this stops {} and deletes its repository, releases and logs; type its name to go on:",
        app.name
    ));
    let mut typed = String::new();
    std::io::stdin().lock().read_line(&mut typed).is_ok() && typed.trim() == app.name.as_str()
}

pub(super) async fn list(client: &Client, as_json: bool) -> Result<Exit, Failed> {
    let status: Status = client.get("/v1/apps").await?;
    if as_json {
        json(&status);
    } else {
        for app in &status.apps {
            data(app.name.as_str());
        }
    }
    Ok(Exit::Done)
}

pub(super) async fn status(client: &Client, which: OptionalApp) -> Result<Exit, Failed> {
    let status = match &which.app {
        None => client.get("/v1/apps").await?,
        Some(app) => Status {
            apps: vec![client.get(&format!("/v1/apps/{app}")).await?],
        },
    };
    if which.json {
        json(&status);
    } else if status.apps.is_empty() {
        words("no apps yet; create one: handover app create NAME");
    } else {
        data(&overview(&status.apps));
    }
    Ok(Exit::Done)
}

fn overview(apps: &[AppStatus]) -> String {
    let heading = [
        "APP",
        "STATE",
        "RELEASE",
        "COMMIT",
        "INSTANCES",
        "MEMORY",
        "CONNECTIONS",
        "AT",
    ]
    .map(str::to_owned);
    let mut rows = vec![heading.to_vec()];
    for app in apps {
        rows.push(row(app));
        for old in &app.draining {
            let cells = [String::new(), "draining".into(), old.release.to_string()];
            let mut cells = cells.to_vec();
            cells.extend(["", "", ""].map(str::to_owned));
            cells.push(old.connections.to_string());
            cells.push(format!("until {}", old.deadline.strftime("%H:%M:%S")));
            rows.push(cells);
        }
        if app.removing > 0 {
            rows.push(removing(app.removing));
        }
    }
    table(&rows)
}

/// Old releases go when no deploy is at work.
fn removing(count: usize) -> Vec<String> {
    let mut cells = vec![String::new(), "removing".to_owned()];
    cells.extend(["", "", "", "", ""].map(str::to_owned));
    let plural = if count == 1 { "y" } else { "ies" };
    cells.push(format!(
        "{count} director{plural}, while no deploy is at work"
    ));
    cells
}

fn row(app: &AppStatus) -> Vec<String> {
    let live = app.live.as_ref();
    let show = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    vec![
        app.name.to_string(),
        state_name(app.state).to_owned(),
        show(live.map(|live| live.release.to_string())),
        show(live.map(|live| live.commit.short().to_owned())),
        show(live.map(|live| {
            let up = live
                .instances
                .iter()
                .filter(|instance| instance.pid.is_some())
                .count();
            format!("{up}/{}", live.instances.len())
        })),
        show(live.map(|live| {
            size_text(
                live.instances
                    .iter()
                    .map(|instance| instance.rss_bytes)
                    .sum(),
            )
        })),
        show(live.map(|live| live.connections.to_string())),
        if app.urls.is_empty() {
            app.socket.display().to_string()
        } else {
            app.urls.join(" ")
        },
    ]
}

fn state_name(state: AppState) -> &'static str {
    match state {
        AppState::Empty => "empty",
        AppState::Live => "live",
        AppState::Deploying => "deploying",
        AppState::Degraded => "degraded",
        AppState::Stopped => "stopped",
    }
}

pub(super) async fn scale(client: &Client, scale: Scale) -> Result<Exit, Failed> {
    let path = format!("/v1/apps/{}/scale", scale.app);
    let app: AppStatus = client
        .call(Method::POST, &path, &types::Scale { web: scale.web })
        .await?;
    if scale.json {
        json(&app);
    } else {
        words(&format!(
            "{} has web={} now and from now on",
            app.name, scale.web
        ));
    }
    Ok(Exit::Done)
}

pub(super) async fn domains(client: &Client, domains: Domains) -> Result<Exit, Failed> {
    let path = format!("/v1/apps/{}/domains", domains.app);
    let answer: types::Domains = match domains.change {
        None => client.get(&path).await?,
        Some(DomainChange::Add { host }) => {
            client.call(Method::POST, &path, &Domain { host }).await?
        }
        Some(DomainChange::Remove { host }) => {
            client.call(Method::DELETE, &path, &Domain { host }).await?
        }
    };
    if domains.json {
        json(&answer);
    } else {
        for host in &answer.domains {
            data(host.as_str());
        }
    }
    Ok(Exit::Done)
}

pub(super) async fn nginx(client: &Client, which: OneApp) -> Result<Exit, Failed> {
    let nginx: Nginx = client.get(&format!("/v1/apps/{}/nginx", which.app)).await?;
    if which.json {
        json(&nginx);
    } else {
        data(nginx.config.trim_end());
        for advice in &nginx.advice {
            words(advice);
        }
    }
    Ok(Exit::Done)
}

pub(super) async fn hooks(client: &Client, verb: HooksVerb) -> Result<Exit, Failed> {
    match verb {
        HooksVerb::Install {
            repo,
            app,
            branch,
            no_gate,
            domains,
        } => {
            let wanted = CreateApp {
                name: app,
                branch,
                gate: !no_gate,
                hosts: domains,
                repo: Some(canonical(&repo)?),
            };
            let created: CreatedApp = client.call(Method::POST, "/v1/apps", &wanted).await?;
            tell_created(&created, false);
        }
        HooksVerb::Remove { repo } => {
            let repo = canonical(&repo)?;
            let () = client
                .call(
                    Method::DELETE,
                    "/v1/hooks",
                    &RemoveHooks { repo: repo.clone() },
                )
                .await?;
            words(&format!(
                "the hooks are out of {}, and what was there is back; its app was stopped",
                repo.display()
            ));
        }
    }
    Ok(Exit::Done)
}

fn canonical(path: &std::path::Path) -> Result<std::path::PathBuf, Failed> {
    path.canonicalize()
        .map_err(|error| Failed::new(format!("find `{}`: {error}", path.display())))
}
