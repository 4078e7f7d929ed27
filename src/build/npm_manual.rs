//! npm's manual page, which nobody asked for.

/// Hides the manual page that npm prints after an error of usage: some hundred lines that bury what went wrong.
#[derive(Debug, Default)]
pub(super) struct ManualFilter {
    within: bool,
}

impl ManualFilter {
    /// Whether the line should be seen.
    pub(super) fn shows(&mut self, line: &str) -> bool {
        let error = line
            .strip_prefix("npm error")
            .or_else(|| line.strip_prefix("npm ERR!"));
        self.within = match error.map(str::trim) {
            Some("Clean install a project") => true,
            Some(text) => self.within && !text.starts_with("A complete log"),
            None => false,
        };
        !self.within
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn npms_manual_page_is_hidden_and_nothing_else() {
        let mut filter = ManualFilter::default();
        let shown: Vec<_> = [
            "npm error code EUSAGE",
            "npm error Missing: x",
            "npm error Clean install a project",
            "npm error Usage:",
            "npm error npm ci",
            "npm error A complete log of this run",
            "after",
        ]
        .into_iter()
        .filter(|line| filter.shows(line))
        .collect();
        assert_eq!(
            shown,
            [
                "npm error code EUSAGE",
                "npm error Missing: x",
                "npm error A complete log of this run",
                "after",
            ]
        );
    }
}
