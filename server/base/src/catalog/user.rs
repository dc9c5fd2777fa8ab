//! Users: what a change of them comes to, as pure functions over one catalog.

use std::sync::Arc;

use tidewire_storage::schema::{Access, Catalog, PasswordHash, User, UserOptions};

use super::change::UserChange;
use super::decided::{Decided, find_database, nothing_if};
use super::edit::Edit;
use super::error::CatalogError;
use super::name::check_name;
use super::tenant;

/// What `change` does to `catalog`.
pub(super) fn decide(catalog: &Catalog, change: &UserChange) -> Decided {
    match change {
        UserChange::Create { name, password, is_admin, options, if_not_exists } => {
            if catalog.users.contains_key(name) {
                return nothing_if(*if_not_exists, || CatalogError::UserExists(name.clone()));
            }
            check_user_name(name)?;
            Ok(vec![put(&User { options: options.clone(), ..new_user(name, password, *is_admin) })])
        }
        UserChange::Drop { name, if_exists } => match catalog.users.get(name) {
            Some(user) => {
                let left = tenant::with_member(catalog, name, None);
                Ok(left.chain([Edit::DropUser { name: user.name.clone() }]).collect())
            }
            None => nothing_if(*if_exists, || CatalogError::UserNotFound(name.clone())),
        },
        UserChange::Rename { name, to } => {
            let user = find_user(catalog, name)?;
            if catalog.users.contains_key(to) {
                return Err(CatalogError::UserExists(to.clone()));
            }
            check_user_name(to)?;
            let renamed = User { name: to.as_str().into(), ..User::clone(user) };
            let moved = tenant::with_member(catalog, name, Some(to));
            Ok(moved.chain([Edit::DropUser { name: user.name.clone() }, put(&renamed)]).collect())
        }
        UserChange::SetPassword { name, password } => {
            changed(find_user(catalog, name)?, |user| user.password = password.clone())
        }
        UserChange::SetOptions { name, options } => {
            changed(find_user(catalog, name)?, |user| user.options = options.clone().or(&user.options))
        }
        UserChange::SetAdmin { name, is_admin } => changed(find_user(catalog, name)?, |user| user.is_admin = *is_admin),
        UserChange::Grant { name, database, access } => grant(catalog, name, database, |_| *access),
        UserChange::Revoke { name, database, access } => grant(catalog, name, database, |had| had.without(*access)),
    }
}

/// Users who lose what they were granted on a database.
pub(super) fn without_grants<'c>(catalog: &'c Catalog, database: &'c str) -> impl Iterator<Item = Edit> + 'c {
    let granted = catalog.users.values().filter(move |user| user.grants.contains_key(database));
    granted.map(move |user| {
        let mut user = User::clone(user);
        user.grants.remove(database);
        Edit::User(user)
    })
}

fn new_user(name: &str, password: &PasswordHash, is_admin: bool) -> User {
    User {
        name: name.into(),
        password: password.clone(),
        is_admin,
        grants: Default::default(),
        options: UserOptions::default(),
    }
}

fn grant(catalog: &Catalog, name: &str, database: &str, access: impl FnOnce(Access) -> Access) -> Decided {
    let user = find_user(catalog, name)?;
    let database = find_database(catalog, database)?.name.clone();
    changed(user, |user| {
        let had = user.grants.get(&database).copied().unwrap_or_default();
        user.grants.insert(database, access(had));
    })
}

/// No edit where nothing is changed.
fn changed(user: &Arc<User>, change: impl FnOnce(&mut User)) -> Decided {
    let mut next = User::clone(user);
    change(&mut next);
    if next == **user { Ok(Vec::new()) } else { Ok(vec![put(&next)]) }
}

fn check_user_name(name: &str) -> Result<(), CatalogError> {
    if name.is_empty() { Err(CatalogError::UserUnnamed) } else { check_name(name) }
}

fn find_user<'c>(catalog: &'c Catalog, name: &str) -> Result<&'c Arc<User>, CatalogError> {
    catalog.users.get(name).ok_or_else(|| CatalogError::UserNotFound(name.to_owned()))
}

fn put(user: &User) -> Edit {
    Edit::User(user.clone())
}

#[cfg(test)]
mod tests {
    use tidewire_sql::Definition;

    use super::*;
    use crate::catalog::change::SchemaChange;
    use crate::catalog::initial::initial;
    use crate::catalog::preview::preview;

    fn done(catalog: &Catalog, change: UserChange) -> Catalog {
        preview(catalog, &SchemaChange::User(change)).unwrap()
    }

    fn create(name: &str) -> UserChange {
        UserChange::Create {
            name: name.to_owned(),
            password: PasswordHash::new("$h"),
            is_admin: false,
            options: UserOptions::default(),
            if_not_exists: false,
        }
    }

    fn grant(name: &str, database: &str, access: Access) -> UserChange {
        UserChange::Grant { name: name.to_owned(), database: database.to_owned(), access }
    }

    #[test]
    fn users_come_change_and_go() {
        let catalog = done(&initial(), create("u"));
        assert_eq!(decide(&catalog, &create("u")), Err(CatalogError::UserExists("u".to_owned())));
        assert_eq!(decide(&catalog, &create("")), Err(CatalogError::UserUnnamed));
        let catalog = done(&catalog, grant("u", "public", Access::READ));
        let catalog = done(&catalog, grant("u", "public", Access::WRITE));
        assert_eq!(catalog.users["u"].access("public"), Access::WRITE, "a grant takes the place of the one before");
        let revoke = |access| UserChange::Revoke { name: "u".to_owned(), database: "public".to_owned(), access };
        let kept = done(&catalog, revoke(Access::READ));
        assert_eq!(kept, catalog);
        let none = done(&catalog, revoke(Access::ALL));
        assert_eq!(none.users["u"].grants.get("public"), Some(&Access::NONE), "it stays in the list");
        let unknown = CatalogError::DatabaseNotFound("x".to_owned());
        assert_eq!(decide(&catalog, &grant("u", "x", Access::ALL)), Err(unknown));
        let nobody = CatalogError::UserNotFound("v".to_owned());
        assert_eq!(decide(&catalog, &grant("v", "public", Access::ALL)), Err(nobody));
        let said = |must, comment: Option<&str>| {
            let options = UserOptions { must_change_password: must, comment: comment.map(Into::into) };
            UserChange::SetOptions { name: "u".to_owned(), options }
        };
        let commented = done(&done(&catalog, said(None, Some("c"))), said(Some(true), None));
        let options = &commented.users["u"].options;
        assert_eq!((options.must_change_password, options.comment.as_deref()), (Some(true), Some("c")));
        let renamed = done(&catalog, UserChange::Rename { name: "u".to_owned(), to: "w".to_owned() });
        assert_eq!((renamed.users.len(), renamed.users["w"].access("public")), (1, Access::WRITE));
        let gone = done(&renamed, UserChange::Drop { name: "w".to_owned(), if_exists: false });
        assert!(gone.users.is_empty());
    }

    #[test]
    fn what_was_granted_on_a_database_goes_with_it() {
        let make = |catalog: &Catalog, definition| preview(catalog, &SchemaChange::Define(definition)).unwrap();
        let (name, if_exists) = ("d".to_owned(), false);
        let create_database = Definition::EnsureDatabase { name: name.clone(), policy: None };
        let catalog = make(&done(&initial(), create("u")), create_database.clone());
        let catalog = done(&catalog, grant("u", "d", Access::ALL));
        let dropped = make(&catalog, Definition::DropDatabase { name, if_exists });
        let again = make(&dropped, create_database);
        assert_eq!(again.users["u"].access("d"), Access::NONE);
    }
}
