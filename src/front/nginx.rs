//! What `handover nginx APP` prints: the part of nginx's configuration that puts it in front of one app.
//!
//! The text has to work on every nginx, and its two traps are invisible until a deploy. From 1.29.7 on nginx keeps
//! connections to an upstream open by default, by the *path* of its socket, so that they go on leading to the old
//! version; `keepalive 0` switches that off but is an error in older versions. A `Connection: close` on each request
//! does the same in all of them. And a server that failed once is left out for 10 s unless `max_fails=0` is set.

use std::fmt::Write as _;
use std::path::Path;

use crate::ids::{AppName, HostName};

/// Writes the configuration for one app. `front_group` is the group in handover's settings whose members may connect
/// to apps, if one is set.
pub fn config(
    app: &AppName,
    live_socket: &Path,
    hosts: &[HostName],
    front_group: Option<&str>,
) -> String {
    let name = upstream_name(app);
    let mut text = head(app, live_socket, front_group);
    let _infallible = write!(
        text,
        r"
# What the connection to the app is told: to change the protocol where the client asks for that (WebSockets), and
# else to end after the answer. nginx would otherwise keep it, and with it the old version, beyond a deploy.
map $http_upgrade ${name}_connection {{
    default upgrade;
    ''      close;
    h2c     close;
}}

upstream {name} {{
    # The app, always: a deploy renames another socket to this name. `max_fails=0`: one failure must not take the
    # app out for ten seconds.
    server {socket} max_fails=0;
}}

server {{
    listen 80;
    listen [::]:80;
    {server_name}

    # The app decides how large an upload may be, and gets it while it arrives.
    client_max_body_size 0;
    proxy_request_buffering off;

    location / {{
        proxy_pass http://{name};
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection ${name}_connection;

        # Who asked, and how. This nginx is taken for the edge, so what a client says of itself is replaced; behind
        # another proxy use $proxy_add_x_forwarded_for, and that proxy's X-Forwarded-Proto.
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-Host $http_host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header Forwarded '';

        # Answers pass as the app writes them: streams and server-sent events arrive at once.
        proxy_buffering off;
        # Room for answers with many cookies.
        proxy_buffer_size 16k;
        proxy_buffers 8 16k;

        # Long polls and idle WebSockets last. A deploy does not cut them: the old version ends when they have.
        proxy_connect_timeout 5s;
        proxy_read_timeout 1h;
        proxy_send_timeout 1h;
    }}
}}
",
        socket = server_address(live_socket),
        server_name = server_name(app, hosts),
    );
    text
}

/// What a person has to know before it works.
fn head(app: &AppName, live_socket: &Path, front_group: Option<&str>) -> String {
    let socket = live_socket.display();
    let directory = live_socket.parent().unwrap_or(live_socket).display();
    let group = match front_group {
        Some(group) => format!(
            "# handover lets the group `{group}` (front_group in its handover.toml) connect to apps. nginx's workers run as\n\
             # the user in nginx.conf's `user` line: that user has to be a member of it, and nginx reloaded since then.\n"
        ),
        None => "# nginx's workers run as the user in nginx.conf's `user` line (www-data on Debian and Ubuntu, nginx elsewhere).\n\
             # handover lets nobody but itself connect to apps until its handover.toml names that user's group:\n\
             #     front_group = \"www-data\"\n\
             # Then restart handover, and deploy or restart the app once, so that its sockets belong to that group.\n"
            .to_owned(),
    };
    format!(
        "# nginx in front of the app `{app}`; written by `handover nginx {app}`.\n\
         #\n\
         # Put this into a file that nginx includes within `http {{ }}`, for instance\n\
         # /etc/nginx/conf.d/{app}.conf, and run `nginx -t && nginx -s reload`, once. Deploys need no reload, ever.\n\
         # For HTTPS add your `listen 443 ssl` and certificates to the server below; certbot does that by itself.\n\
         #\n\
         # Permission (a 502 with \"Permission denied\" in nginx's error log means that this is missing):\n\
         {group}\
         # The socket is then 0660 and {directory} is 0710, both of that group.\n\
         # Every directory above must let the group pass too (x); `namei -l {socket}` shows where it can't.\n"
    )
}

/// A name for nginx's upstream and variables: app names have no `_`, so that no two apps get the same.
fn upstream_name(app: &AppName) -> String {
    format!("handover_{}", app.as_str().replace('-', "_"))
}

fn server_name(app: &AppName, hosts: &[HostName]) -> String {
    if hosts.is_empty() {
        return format!(
            "server_name _; # no host name is set for the app: handover domains {app} add HOST"
        );
    }
    let hosts: Vec<&str> = hosts.iter().map(HostName::as_str).collect();
    format!("server_name {};", hosts.join(" "))
}

/// `unix:PATH` as one word of nginx's, whatever is in the path.
fn server_address(socket: &Path) -> String {
    let path = socket.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if path.chars().all(plain) {
        return format!("unix:{path}");
    }
    let escaped = path.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"unix:{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(app: &str, socket: &str, hosts: &[&str], group: Option<&str>) -> String {
        let hosts: Vec<HostName> = hosts.iter().map(|host| host.parse().unwrap()).collect();
        config(&app.parse().unwrap(), Path::new(socket), &hosts, group)
    }

    #[test]
    fn two_apps_can_stand_in_one_nginx() {
        let shop = text(
            "my-shop",
            "/run/handover/my-shop/live.sock",
            &["a.test", "b.test"],
            None,
        );
        for line in [
            "map $http_upgrade $handover_my_shop_connection {",
            "upstream handover_my_shop {",
            "server unix:/run/handover/my-shop/live.sock max_fails=0;",
            "server_name a.test b.test;",
            "proxy_pass http://handover_my_shop;",
        ] {
            assert!(shop.contains(line), "{line} in {shop}");
        }
    }

    #[test]
    fn the_permission_is_explained_for_the_settings_there_are() {
        let without = text("shop", "/run/shop/live.sock", &[], None);
        assert!(
            without.contains("front_group = \"www-data\"") && without.contains("server_name _;")
        );
        let with = text("shop", "/run/shop/live.sock", &[], Some("web"));
        assert!(with.contains("the group `web`") && !with.contains("www-data"));
    }

    #[test]
    fn a_path_with_odd_characters_is_one_word() {
        let odd = server_address(Path::new("/srv/my apps;x/\"live\".sock"));
        assert_eq!(odd, r#""unix:/srv/my apps;x/\"live\".sock""#);
    }
}
