//! `handover app set`: what is shown of an app's settings.

use hyper::Method;
use serde::Serialize;

use super::args::Set;
use super::exit::Exit;
use super::say::{Failed, data, json, words};
use super::setting::Key;
use super::table::table;
use crate::control::Client;
use crate::control::types::{
    AppSettings, ChangeSettings, ChangedSettings, LastDelivery, WebhookStatus,
};
use crate::ids::{AppName, WebhookSecret, WebhookUrl};

/// Shows or changes settings of an app.
pub(super) async fn set(client: &Client, set: Set) -> Result<Exit, Failed> {
    let change = match (set.key, &set.value, set.unset) {
        (_, _, Some(key)) => Some((key, key.away())),
        (Some(key), Some(value), None) => Some((key, key.to(value).map_err(Failed::usage)?)),
        (_, _, None) => None,
    };
    match change {
        None => show(client, &set).await?,
        Some((key, wanted)) => change_one(client, &set, key, &wanted).await?,
    }
    Ok(Exit::Done)
}

async fn show(client: &Client, set: &Set) -> Result<(), Failed> {
    let path = format!("/v1/apps/{}/settings", set.name);
    let settings: AppSettings = client.get(&path).await?;
    match set.key {
        _ if set.json => {
            // Only who asks for the webhook itself is shown its secret.
            let asked = matches!(set.key, Some(Key::Webhook | Key::WebhookSecret));
            json(&View::of(&set.name, &settings, asked, None));
        }
        None => data(&overview(&settings)),
        Some(Key::Webhook) => data(&webhook(settings.webhook.as_ref())),
        Some(Key::WebhookSecret) => data(secret(&settings).unwrap_or("none")),
        Some(Key::Gate) => data(switch(settings.gate)),
        Some(Key::Force) => data(switch(settings.force)),
    }
    Ok(())
}

async fn change_one(
    client: &Client,
    set: &Set,
    key: Key,
    change: &ChangeSettings,
) -> Result<(), Failed> {
    let path = format!("/v1/apps/{}", set.name);
    let changed: ChangedSettings = client.call(Method::PATCH, &path, change).await?;
    let (app, settings) = (&set.name, &changed.settings);
    match key {
        Key::Gate => words(&format!("{app}: gate is {}", switch(settings.gate))),
        Key::Force => words(&format!("{app}: force is {}", switch(settings.force))),
        Key::Webhook | Key::WebhookSecret => tell_webhook(app, settings, changed.ping.as_ref()),
    }
    if set.json {
        json(&View::of(app, settings, true, changed.ping.as_ref()));
    } else if let (Key::Webhook | Key::WebhookSecret, Some(secret)) = (key, secret(settings)) {
        data(secret);
    }
    Ok(())
}

fn tell_webhook(app: &AppName, settings: &AppSettings, ping: Option<&LastDelivery>) {
    let Some(webhook) = &settings.webhook else {
        words(&format!("{app}: webhook is off"));
        return;
    };
    words(&format!("{app}: webhook is {}", webhook.url));
    match ping {
        Some(ping) if ping.delivered => words(&format!("ping: {}", ping.result)),
        Some(ping) => words(&format!(
            "warning: ping: {}; the ends of deploys will be sent all the same",
            ping.result
        )),
        None => {}
    }
    words("its deliveries are signed with this secret:");
}

fn overview(settings: &AppSettings) -> String {
    let mut rows = vec![["KEY", "VALUE", ""].map(str::to_owned).to_vec()];
    for key in Key::ALL {
        let value = match key {
            Key::Gate => switch(settings.gate).to_owned(),
            Key::Force => switch(settings.force).to_owned(),
            Key::Webhook => settings
                .webhook
                .as_ref()
                .map_or_else(|| "off".to_owned(), |webhook| webhook.url.to_string()),
            Key::WebhookSecret => secret(settings).map_or("none", |_| "set").to_owned(),
        };
        rows.push(vec![key.name().to_owned(), value, key.purpose().to_owned()]);
    }
    table(&rows)
}

fn webhook(webhook: Option<&WebhookStatus>) -> String {
    let Some(webhook) = webhook else {
        return "off".to_owned();
    };
    let last = webhook.last.as_ref().map_or_else(
        || "nothing yet".to_owned(),
        |last| {
            let at = last.at.strftime("%Y-%m-%d %H:%M:%S UTC");
            format!("{}: {}, {at}", last.event, last.result)
        },
    );
    let row = |name: &str, value: &str| vec![name.to_owned(), value.to_owned()];
    table(&[
        row("url", webhook.url.as_str()),
        row("secret", webhook.secret.as_str()),
        row("last", &last),
        row("waiting", &webhook.waiting.to_string()),
    ])
}

fn secret(settings: &AppSettings) -> Option<&str> {
    let webhook = settings.webhook.as_ref()?;
    Some(webhook.secret.as_str())
}

fn switch(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

/// What `--json` shows; the names are a contract.
#[derive(Debug, Serialize)]
struct View<'s> {
    app: &'s AppName,
    gate: bool,
    force: bool,
    webhook: Option<WebhookView<'s>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ping: Option<&'s LastDelivery>,
}

#[derive(Debug, Serialize)]
struct WebhookView<'s> {
    url: &'s WebhookUrl,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'s WebhookSecret>,
    waiting: u32,
    last: Option<&'s LastDelivery>,
}

impl<'s> View<'s> {
    fn of(
        app: &'s AppName,
        settings: &'s AppSettings,
        with_secret: bool,
        ping: Option<&'s LastDelivery>,
    ) -> Self {
        let webhook = settings.webhook.as_ref().map(|webhook| WebhookView {
            url: &webhook.url,
            secret: with_secret.then_some(&webhook.secret),
            waiting: webhook.waiting,
            last: webhook.last.as_ref(),
        });
        Self {
            app,
            gate: settings.gate,
            force: settings.force,
            webhook,
            ping,
        }
    }
}
