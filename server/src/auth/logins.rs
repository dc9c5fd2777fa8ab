//! One core's judge of credentials.
//!
//! 1. A password that has turned out right or wrong for the hash that the catalog has now is answered at once.
//! 2. Any other is a guess. One for a user and an address that have guessed wrong too often of late is refused until
//!    their pause is over.
//! 3. A guess is compared with the user's hash beside the core, in a task of its own: requests with the same password
//!    wait for one comparison, and it goes on when they leave. More than [`WAITING_MAX`] guesses do not wait.
//! 4. For a user who is not there the work is the same, so that the time tells nobody who is.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tidewire_storage::schema::{Catalog, PasswordHash, User};

use super::credentials::{Credentials, Decoded};
use super::denial::Denial;
use super::failures::Failures;
use super::password;
use super::proofs::{Digest, Proof, Proofs};
use super::token::{self, TokenFault};
use crate::metrics::registry::{Counter, Registry};
use crate::ring::{Queue, Queues};
use tidewire_base::config::Secret;
use tidewire_base::oneshot::{Sender, oneshot};

/// Guesses that wait at a time: they take half a second of a processor, and statements that are prepared beside the
/// core wait behind them.
const WAITING_MAX: usize = 24;

/// Requests that wait for one guess.
const ASKERS_MAX: usize = 4_096;

/// What the passwords of users are compared with who are not there: of the form and cost of all hashes, and of no
/// password.
const NOBODYS_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$dGlkZXdpcmUtbm9ib2R5$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// What came of a guess.
#[derive(Clone)]
enum Outcome {
    Right(Arc<User>),
    Wrong,
    Failed(Rc<str>),
}

/// Judges the credentials of a core's requests.
pub struct Logins {
    state: Rc<State>,
    secret: Secret,
    queues: Queues,
    counts: Counts,
}

struct State {
    proofs: RefCell<Proofs>,
    failures: RefCell<Failures>,
    /// Guesses that are being looked at, and who waits for them.
    guesses: RefCell<HashMap<Digest, Vec<Sender<Outcome>>>>,
    waiting: Cell<usize>,
}

struct Counts {
    verified: Rc<Counter>,
    wrong: Rc<Counter>,
    refused: Rc<Counter>,
}

/// A guess, and for whom.
struct Guess {
    digest: Digest,
    user: String,
    password: String,
}

impl Logins {
    /// A judge that takes bearer tokens of `secret`, if that is not empty.
    ///
    /// # Errors
    ///
    /// When the system has no random numbers.
    pub fn new(secret: Secret, queues: Queues, registry: &Registry) -> io::Result<Self> {
        let help = "Logins that took more than a look: passwords that were compared with their hash and were right or \
                    wrong, bearer tokens that were wrong, and what was refused because too much of it came.";
        let count = |outcome| registry.counter("tidewire_logins_total", help, &[("outcome", outcome)]);
        let counts = Counts { verified: count("verified"), wrong: count("wrong"), refused: count("refused") };
        let state = State {
            proofs: RefCell::new(Proofs::new()?),
            failures: RefCell::default(),
            guesses: RefCell::default(),
            waiting: Cell::new(0),
        };
        Ok(Self { state: Rc::new(state), secret, queues, counts })
    }

    /// Whose credentials these are.
    ///
    /// # Errors
    ///
    /// When they are nobody's.
    pub async fn user(
        &self,
        credentials: Credentials<'_>,
        catalog: &Arc<Catalog>,
        address: Option<IpAddr>,
    ) -> Result<Arc<User>, Denial> {
        let guess = match self.at_once(credentials, catalog)? {
            Ok(user) => return Ok(user),
            Err(guess) => guess,
        };
        let name = guess.user.clone();
        if let Some(pause) = self.state.failures.borrow().pause(&name, address, Instant::now()) {
            self.counts.refused.increment();
            return Err(Denial::Throttled { user: name, wait_s: pause.as_secs() + 1 });
        }
        match self.compare(guess, catalog, address)?.await {
            Some(Outcome::Right(user)) => Ok(user),
            Some(Outcome::Wrong) => Err(Denial::Wrong(name)),
            Some(Outcome::Failed(reason)) => Err(Denial::Failed(io::Error::other(reason.to_string()))),
            None => Err(Denial::Failed(io::Error::other("its comparison was given up"))),
        }
    }

    /// The user where that is known at once; else the guess that must be looked at.
    fn at_once(&self, credentials: Credentials<'_>, catalog: &Catalog) -> Result<Result<Arc<User>, Guess>, Denial> {
        match credentials {
            Credentials::Basic(text) => {
                let decoded = Decoded::new(text)?;
                let (user, password) = decoded.pair()?;
                self.known(user, password, catalog)
            }
            Credentials::Password(user, password) => self.known(&user, &password, catalog),
            Credentials::Token(token) => {
                let found = self.of_token(token, catalog);
                if found.is_err() {
                    self.counts.wrong.increment();
                }
                found.map(Ok)
            }
        }
    }

    fn known(&self, user: &str, password: &str, catalog: &Catalog) -> Result<Result<Arc<User>, Guess>, Denial> {
        if user.is_empty() {
            return Err(Denial::Unnamed);
        }
        let proofs = self.state.proofs.borrow();
        let digest = proofs.digest(user, password);
        match proofs.get(&digest, user, catalog) {
            Some(Proof::Right(user)) => Ok(Ok(user)),
            Some(Proof::Wrong) => Err(Denial::Wrong(user.to_owned())),
            None => Ok(Err(Guess { digest, user: user.to_owned(), password: password.to_owned() })),
        }
    }

    fn of_token(&self, token: &str, catalog: &Catalog) -> Result<Arc<User>, Denial> {
        if self.secret.is_empty() {
            return Err(Denial::NoTokens);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let name = token::user_of(token, self.secret.reveal().as_bytes(), now)?;
        Ok(catalog.users.get(name.as_str()).cloned().ok_or(TokenFault::UserUnknown)?)
    }

    /// Has a guess compared, or joins those who wait for the same.
    fn compare(
        &self,
        guess: Guess,
        catalog: &Arc<Catalog>,
        address: Option<IpAddr>,
    ) -> Result<impl Future<Output = Option<Outcome>> + use<>, Denial> {
        let (sender, receiver) = oneshot();
        let mut guesses = self.state.guesses.borrow_mut();
        if let Some(askers) = guesses.get_mut(&guess.digest) {
            if askers.len() >= ASKERS_MAX {
                self.counts.refused.increment();
                return Err(Denial::Busy);
            }
            askers.push(sender);
            return Ok(receiver);
        }
        if self.state.waiting.get() >= WAITING_MAX {
            self.counts.refused.increment();
            return Err(Denial::Busy);
        }
        guesses.insert(guess.digest, vec![sender]);
        self.state.waiting.set(self.state.waiting.get() + 1);
        let (state, catalog) = (self.state.clone(), catalog.clone());
        let (verified, wrong) = (self.counts.verified.clone(), self.counts.wrong.clone());
        let work = async move {
            let digest = guess.digest;
            let outcome = state.look_at(guess, &catalog, address).await;
            match &outcome {
                Outcome::Right(_) => verified.increment(),
                Outcome::Wrong => wrong.increment(),
                Outcome::Failed(_) => {}
            }
            state.waiting.set(state.waiting.get() - 1);
            let askers = state.guesses.borrow_mut().remove(&digest);
            askers.into_iter().flatten().for_each(|asker| asker.send(outcome.clone()));
        };
        self.queues.spawn(Queue::Query, "a password", work).detach();
        Ok(receiver)
    }
}

impl State {
    /// Compares a password with the hash of its user, and remembers what came of it.
    async fn look_at(&self, guess: Guess, catalog: &Catalog, address: Option<IpAddr>) -> Outcome {
        let Guess { digest, user: name, password } = guess;
        let user = catalog.users.get(name.as_str()).cloned();
        let hash = user.as_ref().map_or_else(|| PasswordHash::new(NOBODYS_HASH), |user| user.password.clone());
        let is_right = match password::is_of(password, hash).await {
            Ok(is_right) => is_right && user.is_some(),
            Err(error) => return Outcome::Failed(error.to_string().into()),
        };
        self.proofs.borrow_mut().keep(digest, user.clone(), is_right, catalog);
        match user {
            Some(user) if is_right => {
                self.failures.borrow_mut().note_right(&name, address);
                Outcome::Right(user)
            }
            _ => {
                self.failures.borrow_mut().note_wrong(&name, address, Instant::now());
                Outcome::Wrong
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::zip;

    use super::*;
    use crate::ring::testing::on_a_core_in_slices;
    use std::borrow::Cow;
    use std::time::Duration;

    fn given<'r>(user: &'r str, password: &'r str) -> Credentials<'r> {
        Credentials::Password(Cow::Borrowed(user), Cow::Borrowed(password))
    }

    async fn catalog_with(name: &str, password: &str) -> Arc<Catalog> {
        let password = password::hash(password.to_owned()).await.unwrap();
        let user = User {
            name: name.into(),
            password,
            is_admin: false,
            grants: Default::default(),
            options: Default::default(),
        };
        let mut catalog = Catalog::default();
        catalog.users.insert(user.name.clone(), user.into());
        Arc::new(catalog)
    }

    fn shown(found: Result<Arc<User>, Denial>) -> String {
        found.map_or_else(|denial| denial.to_string(), |user| format!("it is {}", user.name))
    }

    #[test]
    fn nobodys_hash_is_a_hash_of_nothing() {
        on_a_core_in_slices(Duration::from_millis(1), async || {
            assert!(!password::is_of("x".to_owned(), PasswordHash::new(NOBODYS_HASH)).await.unwrap());
        });
    }

    #[test]
    fn passwords_are_judged_once_and_anew_when_they_change() {
        on_a_core_in_slices(Duration::from_millis(1), async || {
            let registry = Registry::new();
            let logins = Logins::new(Secret::default(), Queues::new(), &registry).unwrap();
            let (before, after) = (catalog_with("u", "p").await, catalog_with("u", "q").await);
            let ask = async |password, catalog| shown(logins.user(given("u", password), catalog, None).await);
            let wrong = "user \"u\" is not known or has another password";
            // Two at once are one comparison, a third none.
            let (one, other) = zip(ask("p", &before), ask("p", &before)).await;
            assert_eq!((one.as_str(), other.as_str()), ("it is u", "it is u"));
            assert_eq!((ask("p", &before).await.as_str(), logins.counts.verified.get()), ("it is u", 1));
            assert_eq!(ask("q", &before).await, wrong);
            assert_eq!((ask("q", &before).await.as_str(), logins.counts.wrong.get()), (wrong, 1));
            // From the moment in which the catalog has another hash, nothing of that holds.
            assert_eq!((ask("p", &after).await.as_str(), ask("q", &after).await.as_str()), (wrong, "it is u"));
            let gone = Arc::new(Catalog::default());
            assert_eq!((ask("q", &gone).await.as_str(), ask("p", &gone).await.as_str()), (wrong, wrong));
            assert_eq!(shown(logins.user(given("", "p"), &before, None).await), "the credentials name no user");
        });
    }

    #[test]
    fn guesses_are_slowed_down_and_only_so_many_wait() {
        on_a_core_in_slices(Duration::from_millis(1), async || {
            let registry = Registry::new();
            let logins = Logins::new(Secret::default(), Queues::new(), &registry).unwrap();
            let catalog = catalog_with("u", "p").await;
            let (here, there) = (Some("10.0.0.1".parse().unwrap()), Some("10.0.0.2".parse().unwrap()));
            assert_eq!(shown(logins.user(given("u", "p"), &catalog, here).await), "it is u");
            for guess in 0..6 {
                let guess = format!("guess {guess}");
                assert!(shown(logins.user(given("u", &guess), &catalog, here).await).contains("another password"));
            }
            let paused = shown(logins.user(given("u", "guess 7"), &catalog, here).await);
            assert!(paused.contains("too many wrong passwords"), "{paused}");
            // Nobody else pays for it, nor does a password that is known, right or wrong.
            assert!(shown(logins.user(given("u", "guess 1"), &catalog, here).await).contains("another password"));
            assert_eq!(shown(logins.user(given("u", "p"), &catalog, here).await), "it is u");
            assert!(shown(logins.user(given("u", "guess 8"), &catalog, there).await).contains("another password"));
            let names: Vec<String> = (0..=WAITING_MAX).map(|n| format!("user {n}")).collect();
            let mut waiting = Vec::new();
            for (n, name) in names.iter().enumerate() {
                let guess = Guess { digest: [n as u8; 32], user: name.clone(), password: "x".to_owned() };
                waiting.push(logins.compare(guess, &catalog, there));
            }
            assert!(matches!(waiting.pop(), Some(Err(Denial::Busy))));
            for outcome in waiting {
                assert!(matches!(outcome.unwrap().await, Some(Outcome::Wrong)));
            }
            assert_eq!((logins.state.waiting.get(), logins.state.guesses.borrow().len()), (0, 0));
        });
    }
}
