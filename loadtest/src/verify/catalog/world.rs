//! What the catalog holds of one client, as paths and what is said of them: pure bookkeeping, no I/O.
//!
//! ```text
//!   user/u0_1                                      its comment
//!   user/u0_1/on/p0_0                              what InfluxQL has granted it on a database of the default tenant
//!   tenant/t0_0                                    its comment
//!   tenant/t0_0/member/u0_1                        the role
//!   tenant/t0_0/role/r1                            the system role that it inherits
//!   tenant/t0_0/role/r1/on/d0                      what was granted to it
//!   tenant/t0_0/database/d0                        days that rows are kept
//!   tenant/t0_0/database/d0/table/x0/column/c1     nothing
//!   tenant/cnosdb/database/p0_0 …                  the same in the default tenant
//!   dropped/t0_0 …                                 a tenant that can be recovered: nobody sees it
//! ```

use std::collections::BTreeMap;

/// The tenant that is always there.
pub(super) const DEFAULT_TENANT: &str = "cnosdb";

/// All that is there, by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct World(BTreeMap<String, String>);

impl World {
    pub(super) fn get(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    pub(super) fn set(&mut self, path: String, value: impl Into<String>) {
        self.0.insert(path, value.into());
    }

    /// Removes a path and all below it.
    pub(super) fn remove(&mut self, path: &str) {
        self.0.retain(|known, _| !is_at_or_below(known, path));
    }

    /// Moves a path and all below it.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        let all = std::mem::take(&mut self.0);
        let moved = |known: String| match is_at_or_below(&known, from) {
            true => format!("{to}{}", &known[from.len()..]),
            false => known,
        };
        self.0 = all.into_iter().map(|(known, value)| (moved(known), value)).collect();
    }

    /// Changes what `member` of any tenant is: it goes, or has another name.
    pub(super) fn rename_member(&mut self, member: &str, to: Option<&str>) {
        let all = std::mem::take(&mut self.0);
        let end = format!("/member/{member}");
        self.0 = all
            .into_iter()
            .filter_map(|(known, value)| match known.strip_suffix(&end) {
                Some(tenant) => to.map(|to| (format!("{tenant}/member/{to}"), value)),
                None => Some((known, value)),
            })
            .collect();
    }

    /// Removes the members of a tenant that have a role.
    pub(super) fn remove_members_with(&mut self, tenant: &str, role: &str) {
        let members = format!("tenant/{tenant}/member/");
        self.0.retain(|known, value| !(known.starts_with(&members) && value == role));
    }

    /// Removes what was granted on a database of a tenant.
    pub(super) fn remove_grants_on(&mut self, tenant: &str, database: &str) {
        let roles = format!("tenant/{tenant}/role/");
        let end = format!("/on/{database}");
        let is_users = |known: &str| tenant == DEFAULT_TENANT && known.starts_with("user/");
        self.0.retain(|known, _| !(known.ends_with(&end) && (known.starts_with(&roles) || is_users(known))));
    }

    /// What others see of it.
    pub(super) fn seen(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter(|(path, _)| !path.starts_with("dropped/")).map(|(path, value)| (&**path, &**value))
    }

    /// The first few places where what was found differs from this.
    pub(super) fn differences(&self, found: &Self) -> Vec<String> {
        const DIFFERENCES_MAX: usize = 5;
        let missing = self.seen().filter(|(path, value)| found.get(path) != Some(value));
        let missing = missing.map(|(path, value)| format!("{path} is {:?} and not {value:?}", found.get(path)));
        let more = found.seen().filter(|(path, _)| !self.has(path));
        let more = more.map(|(path, value)| format!("{path} is {value:?} and should not be there"));
        missing.chain(more).take(DIFFERENCES_MAX).collect()
    }

    /// Takes over what nobody sees.
    pub(super) fn hide_as(&mut self, other: &Self) {
        let hidden = other.0.iter().filter(|(path, _)| path.starts_with("dropped/"));
        self.0.extend(hidden.map(|(path, value)| (path.clone(), value.clone())));
    }
}

fn is_at_or_below(path: &str, other: &str) -> bool {
    path.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(paths: &[(&str, &str)]) -> World {
        World(paths.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn what_goes_takes_along_what_is_below_it_and_nothing_else() {
        let mut all = world(&[("tenant/t", "a"), ("tenant/t/member/u", "owner"), ("tenant/t2", "b"), ("user/u", "")]);
        all.rename("tenant/t", "dropped/t");
        assert_eq!(all.seen().collect::<Vec<_>>(), [("tenant/t2", "b"), ("user/u", "")]);
        all.rename_member("u", Some("v"));
        all.rename("dropped/t", "tenant/t");
        assert_eq!(all.get("tenant/t/member/v"), Some("owner"));
        all.rename_member("v", None);
        all.remove("tenant/t");
        assert_eq!(all, world(&[("tenant/t2", "b"), ("user/u", "")]));
    }

    #[test]
    fn grants_go_with_their_database_and_members_with_their_role() {
        let mut all = world(&[
            ("tenant/cnosdb/database/p", "1"),
            ("tenant/t/role/r", ""),
            ("tenant/t/role/r/on/p", "Read"),
            ("tenant/t/member/u", "r"),
            ("tenant/t/member/v", "owner"),
            ("user/u/on/p", "READ"),
        ]);
        all.remove_grants_on(DEFAULT_TENANT, "p");
        assert!(!all.has("user/u/on/p") && all.has("tenant/t/role/r/on/p"));
        all.remove_grants_on("t", "p");
        assert!(!all.has("tenant/t/role/r/on/p"));
        all.remove_members_with("t", "r");
        assert!(!all.has("tenant/t/member/u") && all.has("tenant/t/member/v"));
    }

    #[test]
    fn differences_are_told_in_both_directions() {
        let (wanted, found) = (world(&[("a", "1"), ("b", "2"), ("dropped/x", "")]), world(&[("a", "3"), ("c", "4")]));
        let told = wanted.differences(&found);
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].starts_with("a is Some(\"3\") and not \"1\"") && told[2].contains("should not be there"));
        assert!(wanted.differences(&wanted).is_empty());
    }
}
