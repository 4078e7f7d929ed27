//! `[build] cache`: what a build leaves for the next one.

use std::fmt;
use std::path::{Component, Path};

use super::problem::quoted;

/// The longest path, in bytes.
const LEN_MAX: usize = 500;

/// A directory (or file) of a release that builds may find as the last one has left it: a path within the release.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CachePath(String);

/// What is carried where nothing is set: caches that say of each piece themselves what it was made from, so that an old
/// one does no harm.
///
/// Not among them, because they are half of something whose other half is built anew: `tsconfig.tsbuildinfo` (without
/// `dist` the compiler takes its work for done), Gatsby's `.cache` (with `public`), `.nuxt`, `.svelte-kit`, `dist`. Whoever
/// has a use for these names both halves.
const DEFAULT: &[&str] = &[
    ".next/cache",         // Next.js
    "node_modules/.cache", // Terser, Nuxt, Storybook, older turbo
    "node_modules/.vite",  // Vite, Vitest
    ".vite",
    ".turbo/cache", // turbo
    ".parcel-cache",
    ".angular/cache",
    "node_modules/.astro", // pictures and content of Astro
];

/// What is left behind of larger caches: these name each entry by the full path of its source, in which the release's
/// number is. Nothing in them is ever found again, and they would grow with each release. Whoever names one gets it.
const OF_ONE_RELEASE: &[&str] = &[
    ".next/cache/webpack",
    "node_modules/.cache/webpack",
    "node_modules/.cache/default-development", // webpack in Create React App
    "node_modules/.cache/default-production",
    "node_modules/.cache/babel-loader",
    "node_modules/.cache/vue-loader",
];

impl CachePath {
    /// Whether what lies at this path within the release is of no use to another one.
    pub fn leaves_behind(&self, path: &Path) -> bool {
        let is_named = path == self.as_path();
        !is_named && OF_ONE_RELEASE.iter().any(|left| path.ends_with(left))
    }

    /// Those that are carried where nothing is set.
    pub fn defaults() -> Vec<Self> {
        DEFAULT
            .iter()
            .map(|path| Self((*path).to_owned()))
            .collect()
    }

    /// Understands what was written, or says what would be right.
    pub fn read(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            let written = quoted(text);
            Err(format!(
                "{written} {why}; write a directory of the app such as \".next/cache\""
            ))
        };
        if text.is_empty() {
            return wrong("is empty");
        }
        if text.len() > LEN_MAX {
            return wrong("is longer than 500 bytes");
        }
        if text.contains(char::is_control) {
            return wrong("has control characters");
        }
        if text.contains(['*', '?', '[', '{']) {
            return wrong("is a pattern, and patterns are not understood");
        }
        let mut names = Vec::new();
        for part in Path::new(text).components() {
            match part {
                Component::Normal(name) => names.push(name.to_string_lossy()),
                Component::CurDir => {}
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                    return wrong("leads out of the app");
                }
            }
        }
        match names.join("/").as_str() {
            "" => wrong("is the whole app"),
            "node_modules" => wrong("is installed anew in each deploy"),
            path => Ok(Self(path.to_owned())),
        }
    }

    /// The path, relative to the release.
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl fmt::Display for CachePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_within_the_app_are_taken_in_one_form() {
        for (written, path) in [
            (".next/cache", ".next/cache"),
            ("./apps/web/.next//cache/", "apps/web/.next/cache"),
            ("node_modules/.cache", "node_modules/.cache"),
            ("größe", "größe"),
        ] {
            assert_eq!(CachePath::read(written).unwrap().to_string(), path);
        }
        let again = |path: CachePath| CachePath::read(&path.to_string()).unwrap() == path;
        assert!(CachePath::defaults().into_iter().all(again));
    }

    #[test]
    fn what_is_of_one_release_is_left_behind_unless_it_is_named() {
        let cache = |path: &str| CachePath::read(path).unwrap();
        let next = cache(".next/cache");
        assert!(next.leaves_behind(Path::new(".next/cache/webpack")));
        assert!(!next.leaves_behind(Path::new(".next/cache/images")));
        assert!(!next.leaves_behind(Path::new(".next/cache")));
        let inner = cache("apps/web/.next/cache");
        assert!(inner.leaves_behind(Path::new("apps/web/.next/cache/webpack")));
        let named = cache(".next/cache/webpack");
        assert!(!named.leaves_behind(named.as_path()));
    }

    #[test]
    fn everything_else_is_refused_with_what_would_be_right() {
        for (written, why) in [
            ("", "is empty"),
            (".", "is the whole app"),
            ("./", "is the whole app"),
            ("..", "leads out of the app"),
            ("../other/.next", "leads out of the app"),
            ("a/../../b", "leads out of the app"),
            ("a/../b", "leads out of the app"),
            ("/etc", "leads out of the app"),
            ("packages/*/.turbo", "patterns are not understood"),
            ("a\nb", "control characters"),
            ("node_modules/", "is installed anew"),
        ] {
            let said = CachePath::read(written).unwrap_err();
            assert!(said.contains(why), "{said}");
            assert!(said.contains("such as \".next/cache\""), "{said}");
            assert!(!said.contains('\n'), "{said}");
        }
    }
}
