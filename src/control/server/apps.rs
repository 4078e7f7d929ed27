//! Apps: created, shown, changed, destroyed.

use axum::extract::{Path, State};
use axum::{Extension, Json};

use super::Shared;
use super::answer::Refused;
use super::asker::Asker;
use crate::access::Action;
use crate::control::types::{
    CreateApp, CreatedApp, Domain, Domains, Nginx, RemoveHooks, Scale, ServerStatus, Status,
};
use crate::deploy::fleet::Wanted;
use crate::deploy::status::AppStatus;
use crate::front::nginx;
use crate::ids::AppName;

pub(super) async fn server(State(fleet): Shared) -> Json<ServerStatus> {
    let listen = fleet
        .site()
        .listen
        .borrow()
        .iter()
        .map(ToString::to_string)
        .collect();
    Json(ServerStatus {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        listen,
    })
}

/// The apps that whoever asks may see.
pub(super) async fn list(
    State(fleet): Shared,
    Extension(asker): Extension<Asker>,
) -> Result<Json<Status>, Refused> {
    let mut apps = fleet.status(None).await?;
    apps.retain(|app| asker.may(Action::See, &app.name));
    Ok(Json(Status { apps }))
}

pub(super) async fn show(
    State(fleet): Shared,
    Path(app): Path<AppName>,
) -> Result<Json<AppStatus>, Refused> {
    let shown = fleet.status(Some(&app)).await?.pop();
    shown.map(Json).ok_or_else(|| {
        Refused::not_found(format!("find the app `{app}`: it has just been destroyed"))
    })
}

pub(super) async fn create(
    State(fleet): Shared,
    Json(wanted): Json<CreateApp>,
) -> Result<Json<CreatedApp>, Refused> {
    let name = wanted.name.clone();
    let CreateApp {
        branch,
        gate,
        hosts,
        repo,
        ..
    } = wanted;
    let created = fleet
        .create(Wanted {
            name: name.clone(),
            branch,
            gate,
            hosts,
            repo,
        })
        .await?;
    Ok(Json(CreatedApp {
        name,
        branch: created.branch,
        repo: created.repo,
        notes: created.notes,
    }))
}

pub(super) async fn destroy(
    State(fleet): Shared,
    Path(app): Path<AppName>,
) -> Result<Json<()>, Refused> {
    fleet.destroy(&app).await?;
    Ok(Json(()))
}

pub(super) async fn scale(
    State(fleet): Shared,
    Path(app): Path<AppName>,
    Json(scale): Json<Scale>,
) -> Result<Json<AppStatus>, Refused> {
    fleet.scale(&app, scale.web).await?;
    show(State(fleet), Path(app)).await
}

pub(super) async fn domains(
    State(fleet): Shared,
    Path(app): Path<AppName>,
) -> Result<Json<Domains>, Refused> {
    Ok(Json(Domains {
        domains: fleet.app(&app).await?.hosts,
    }))
}

/// The configuration, and what has to be true for nginx to be let in.
pub(super) async fn nginx(
    State(fleet): Shared,
    Path(app): Path<AppName>,
) -> Result<Json<Nginx>, Refused> {
    let site = fleet.site();
    let app = fleet.app(&app).await?;
    let group = site.settings.borrow().front_group.clone();
    let socket = site.layout.app(&app.name).live_socket();
    let config = nginx::config(&app.name, &socket, &app.hosts, group.as_deref());
    let settings = site.layout.settings().display();
    let advice = match group {
        Some(group) => {
            format!("nginx's worker must be in the group {group} (front_group in {settings})")
        }
        None => format!(
            "to let nginx in, set front_group to the group of its worker in {settings}, for instance front_group = \"www-data\", and restart the app"
        ),
    };
    Ok(Json(Nginx {
        config,
        advice: vec![advice],
    }))
}

pub(super) async fn add_domain(
    State(fleet): Shared,
    Path(app): Path<AppName>,
    Json(domain): Json<Domain>,
) -> Result<Json<Domains>, Refused> {
    let app = fleet.add_host(&app, domain.host).await?;
    Ok(Json(Domains { domains: app.hosts }))
}

pub(super) async fn remove_domain(
    State(fleet): Shared,
    Path(app): Path<AppName>,
    Json(domain): Json<Domain>,
) -> Result<Json<Domains>, Refused> {
    let app = fleet.remove_host(&app, domain.host).await?;
    Ok(Json(Domains { domains: app.hosts }))
}

/// Takes the hooks out of a repository that some app uses, and ends that app.
pub(super) async fn remove_hooks(
    State(fleet): Shared,
    Json(wanted): Json<RemoveHooks>,
) -> Result<Json<()>, Refused> {
    let wanted = wanted.repo;
    let found = fleet
        .apps()
        .await?
        .into_iter()
        .find(|app| app.repo == wanted);
    let app = found.ok_or_else(|| {
        Refused::not_found(format!(
            "find the app of `{}`: none uses it",
            wanted.display()
        ))
    })?;
    fleet.destroy(&app.name).await?;
    Ok(Json(()))
}
