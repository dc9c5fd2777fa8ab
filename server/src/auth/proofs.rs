//! What passwords have turned out to be, so that the next request with one need not wait for its hash.
//!
//! A password is known by a digest of it, of its user's name and of a number that is drawn when the core starts, and
//! that nobody knows: what is kept here is of no use to anybody, and how long a look takes tells nothing of what is
//! kept. An answer holds for the hash that the password was compared with. A user who is dropped, or has another
//! password, has another hash or none in the catalog, so that all answers about him are void from the moment in which
//! a core sees the change.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use rustix::rand::{GetRandomFlags, getrandom};
use sha2::{Digest as _, Sha256};
use tidewire_storage::schema::{Catalog, User};

/// Answers of each kind that are kept: one for each user who asks, and the wrong ones of clients that keep trying.
const PROOFS_MAX: usize = 4_096;

/// A user and a password.
pub(super) type Digest = [u8; 32];

/// The answers of a core.
pub(super) struct Proofs {
    salt: [u8; 32],
    /// Passwords that are the user's.
    right: HashMap<Digest, Arc<User>>,
    /// Passwords that are not; `None` for a user who is not there.
    wrong: HashMap<Digest, Option<Arc<User>>>,
}

/// What is known of a password.
#[derive(Debug)]
pub(super) enum Proof {
    /// It is the user's, who is in the catalog so.
    Right(Arc<User>),
    /// It is not.
    Wrong,
}

impl Proofs {
    /// None, with a salt of their own.
    pub(super) fn new() -> io::Result<Self> {
        let mut salt = [0; 32];
        // Up to 256 bytes come whole.
        getrandom(&mut salt, GetRandomFlags::empty())?;
        Ok(Self { salt, right: HashMap::new(), wrong: HashMap::new() })
    }

    /// What a name and a password are known by.
    pub(super) fn digest(&self, name: &str, password: &str) -> Digest {
        let mut hasher = Sha256::new();
        hasher.update(self.salt);
        hasher.update((name.len() as u64).to_le_bytes());
        hasher.update(name);
        hasher.update(password);
        hasher.finalize().into()
    }

    /// What is known of the password `digest` of the user `name`.
    pub(super) fn get(&self, digest: &Digest, name: &str, catalog: &Catalog) -> Option<Proof> {
        let now = catalog.users.get(name);
        if let Some(then) = self.right.get(digest) {
            return now.filter(|now| now.password == then.password).cloned().map(Proof::Right);
        }
        let then = self.wrong.get(digest)?;
        let is_so_still = then.as_ref().map(|user| &user.password) == now.map(|user| &user.password);
        is_so_still.then_some(Proof::Wrong)
    }

    /// Keeps an answer: of the password of `user` as the catalog had him.
    pub(super) fn keep(&mut self, digest: Digest, user: Option<Arc<User>>, is_right: bool, catalog: &Catalog) {
        match user {
            Some(user) if is_right => {
                if self.right.len() >= PROOFS_MAX {
                    self.right.retain(|_, then| {
                        catalog.users.get(&then.name).is_some_and(|now| now.password == then.password)
                    });
                }
                // There are more users than that: each begins anew.
                if self.right.len() >= PROOFS_MAX {
                    self.right.clear();
                }
                self.wrong.remove(&digest);
                self.right.insert(digest, user);
            }
            user => {
                if self.wrong.len() >= PROOFS_MAX {
                    self.wrong.clear();
                }
                self.right.remove(&digest);
                self.wrong.insert(digest, user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tidewire_storage::schema::PasswordHash;

    use super::*;

    fn catalog(users: &[(&str, &str)]) -> Catalog {
        let user = |(name, hash): &(&str, &str)| User {
            name: (*name).into(),
            password: PasswordHash::new(*hash),
            is_admin: false,
            grants: Default::default(),
            options: Default::default(),
        };
        let mut catalog = Catalog::default();
        for user in users.iter().map(user) {
            catalog.users.insert(user.name.clone(), user.into());
        }
        catalog
    }

    #[test]
    fn an_answer_holds_as_long_as_the_users_hash() {
        let mut proofs = Proofs::new().unwrap();
        let (before, after, gone) = (catalog(&[("u", "$1")]), catalog(&[("u", "$2")]), catalog(&[]));
        let (right, wrong) = (proofs.digest("u", "p"), proofs.digest("u", "q"));
        assert!(proofs.get(&right, "u", &before).is_none());
        let user = before.users.get("u").cloned();
        proofs.keep(right, user.clone(), true, &before);
        proofs.keep(wrong, user, false, &before);
        assert!(matches!(proofs.get(&right, "u", &before), Some(Proof::Right(user)) if &*user.name == "u"));
        assert!(matches!(proofs.get(&wrong, "u", &before), Some(Proof::Wrong)));
        for changed in [&after, &gone] {
            assert!(proofs.get(&right, "u", changed).is_none() && proofs.get(&wrong, "u", changed).is_none());
        }
        let nobody = proofs.digest("v", "p");
        proofs.keep(nobody, None, false, &before);
        assert!(matches!(proofs.get(&nobody, "v", &before), Some(Proof::Wrong)));
        assert!(proofs.get(&nobody, "v", &catalog(&[("v", "$3")])).is_none(), "he is there now");
    }

    #[test]
    fn digests_tell_pairs_and_cores_apart() {
        let (one, other) = (Proofs::new().unwrap(), Proofs::new().unwrap());
        assert_eq!(one.digest("ab", "c"), one.digest("ab", "c"));
        assert_ne!(one.digest("ab", "c"), one.digest("a", "bc"));
        assert_ne!(one.digest("ab", "c"), other.digest("ab", "c"));
    }

    #[test]
    fn only_so_many_answers_are_kept() {
        let mut proofs = Proofs::new().unwrap();
        let now = catalog(&[("u", "$1")]);
        let user = now.users.get("u").cloned();
        for n in 0..2 * PROOFS_MAX as u64 + 5 {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&n.to_le_bytes());
            proofs.keep(digest, user.clone(), n % 2 == 0, &now);
            assert!(proofs.right.len() <= PROOFS_MAX && proofs.wrong.len() <= PROOFS_MAX);
        }
    }
}
