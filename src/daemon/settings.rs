//! The server's settings file, read at the start and whenever it changes.

use std::io;
use std::sync::Arc;

use tokio::sync::watch;

use super::error::DaemonError;
use crate::config::ServerSettings;
use crate::paths::Layout;

/// Reads the settings; a file that does not exist sets nothing.
pub(super) fn read(layout: &Layout) -> Result<ServerSettings, DaemonError> {
    let path = layout.settings();
    match std::fs::read(path) {
        Ok(bytes) => Ok(ServerSettings::parse(path, &bytes)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(ServerSettings::default()),
        Err(source) => Err(DaemonError::ReadSettings {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Reads the settings again. Wrong ones are told in the log, and the former ones stay in force.
pub(super) fn reload(layout: &Layout, settings: &watch::Sender<Arc<ServerSettings>>) {
    match read(layout) {
        Ok(fresh) => {
            let changed = settings.send_if_modified(|current| {
                let changed = **current != fresh;
                *current = Arc::new(fresh);
                changed
            });
            if changed {
                tracing::info!(
                    "settings were read again; `listen`, `front` and `builds` take effect at the next start"
                );
            }
        }
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "settings are wrong; the former ones stay in force"
            );
        }
    }
}
