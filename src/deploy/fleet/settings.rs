//! What is set about apps from outside their repositories.

use super::{Fleet, FleetError};
use crate::deploy::settings::{
    AppSettings, ChangeSettings, ChangedSettings, NewSecret, WebhookAt, WebhookStatus,
};
use crate::ids::{AppName, WebhookSecret, WebhookUrl, hex};
use crate::process::random;
use crate::state::{App, Database, LastDelivery, Webhook};
use crate::webhook;

impl Fleet {
    /// The settings of an app.
    pub async fn settings(&self, name: &AppName) -> Result<AppSettings, FleetError> {
        let owned = name.clone();
        let read = move |database: &Database| {
            let app = database.app(&owned)?;
            let waiting = database.waiting_deliveries(&owned)?;
            Ok((app, waiting, database.last_delivery(&owned)?))
        };
        let (app, waiting, last) = self.site.database.run(read).await?;
        Ok(AppSettings {
            gate: app.gate,
            force: app.allow_force,
            webhook: app.webhook.map(|webhook| WebhookStatus {
                url: webhook.url,
                secret: webhook.secret,
                waiting,
                last,
            }),
        })
    }

    /// Changes settings of an app. A webhook that is set is sent a `ping` before this returns.
    pub async fn change_settings(
        &self,
        name: &AppName,
        change: ChangeSettings,
    ) -> Result<ChangedSettings, FleetError> {
        let app = self.app(name).await?;
        let webhook = webhook_after(&app, &change)?;
        if let Some(gate) = change.gate {
            self.set_gate(name, gate).await?;
        }
        if let Some(allow) = change.force {
            self.change(name, move |database, app| {
                database.set_allow_force(app, allow)
            })
            .await?;
        }
        let ping = match webhook {
            WebhookAfter::Same => None,
            WebhookAfter::None => {
                self.change(name, Database::unset_webhook).await?;
                None
            }
            WebhookAfter::Is(webhook) => Some(self.set_webhook(name, webhook).await?),
        };
        Ok(ChangedSettings {
            settings: self.settings(name).await?,
            ping,
        })
    }

    /// Whether pushes to the app wait for the verdict, from now on.
    pub async fn set_gate(&self, name: &AppName, gate: bool) -> Result<App, FleetError> {
        let mut app = self.app(name).await?;
        app.gate = gate;
        self.put_hooks(&app).await?; // first: what can't be had is not remembered
        self.change(name, move |database, app| database.set_gate(app, gate))
            .await
    }

    async fn set_webhook(
        &self,
        name: &AppName,
        webhook: Webhook,
    ) -> Result<LastDelivery, FleetError> {
        let row = webhook.clone();
        self.change(name, move |database, app| database.set_webhook(app, &row))
            .await?;
        self.site.outbox.wake(); // what waited for another receiver is due
        let ping = webhook::ping(name, &webhook)
            .await
            .map_err(FleetError::Random)?;
        let (owned, last) = (name.clone(), ping.to_last());
        let remembered = last.clone();
        self.site
            .database
            .run(move |database| database.set_last_delivery(&owned, &remembered))
            .await?;
        Ok(last)
    }
}

/// What a change makes of an app's webhook.
#[derive(Debug)]
enum WebhookAfter {
    /// It stays as it is.
    Same,
    /// There is none any more.
    None,
    /// It is this one.
    Is(Webhook),
}

fn webhook_after(app: &App, change: &ChangeSettings) -> Result<WebhookAfter, FleetError> {
    let is = |url: &WebhookUrl, secret: WebhookSecret| {
        let url = url.clone();
        Ok(WebhookAfter::Is(Webhook { url, secret }))
    };
    match (&change.webhook, &change.webhook_secret, &app.webhook) {
        (None, None, _) => Ok(WebhookAfter::Same),
        (Some(WebhookAt::Off), _, _) => Ok(WebhookAfter::None),
        (Some(WebhookAt::Url(url)), None, Some(before)) => is(url, before.secret.clone()),
        (Some(WebhookAt::Url(url)), None, None) => is(url, secret(&NewSecret::Fresh)?),
        (Some(WebhookAt::Url(url)), Some(new), _) => is(url, secret(new)?),
        (None, Some(new), Some(before)) => is(&before.url, secret(new)?),
        (None, Some(_), None) => Err(FleetError::NoWebhook(app.name.clone())),
    }
}

fn secret(new: &NewSecret) -> Result<WebhookSecret, FleetError> {
    const BYTES: usize = 32;
    match new {
        NewSecret::Given(secret) => Ok(secret.clone()),
        NewSecret::Fresh => {
            let bytes = random::bytes::<BYTES>().map_err(FleetError::Random)?;
            Ok(hex(&bytes).parse().expect("digits are a secret"))
        }
    }
}
