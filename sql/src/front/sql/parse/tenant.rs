//! Tenants, members, roles and what roles may do.

use std::collections::BTreeMap;

use sqlparser::tokenizer::Token;
use tidewire_storage::schema::{
    Access, Bucket, DROP_NEVER, Limiter, ObjectLimits, RequestKind, SystemRole, TenantOptions,
};

use super::name::fold;
use super::parsed::Parsed;
use super::reader::Reader;
use crate::error::{SqlError, SqlErrorKind, TenancyError};
use crate::tenancy::{TenantAlteration, TenantStatement};
use crate::types::duration::parse_duration;

impl Reader<'_> {
    /// What follows `CREATE TENANT`: `[IF NOT EXISTS] t [WITH option, …]`
    pub(super) fn create_tenant(&mut self) -> Result<Parsed, SqlError> {
        let if_not_exists = self.words(&["IF", "NOT", "EXISTS"]);
        let name = fold(&self.identifier()?);
        let mut options = TenantOptions::default();
        if self.word("WITH") {
            self.tenant_options(&mut options)?;
        }
        Ok(Parsed::Tenant(TenantStatement::Create { name, if_not_exists, options }))
    }

    /// What follows `DROP TENANT`: `[IF EXISTS] t [AFTER duration]`
    pub(super) fn drop_tenant(&mut self) -> Result<Parsed, SqlError> {
        let if_exists = self.words(&["IF", "EXISTS"]);
        let name = fold(&self.identifier()?);
        let after_ns = if self.word("AFTER") { Some(self.delay()?) } else { None };
        Ok(Parsed::Tenant(TenantStatement::Drop { name, if_exists, after_ns }))
    }

    /// `RECOVER TENANT [IF EXISTS] t`
    pub(super) fn recover(&mut self) -> Result<Parsed, SqlError> {
        self.parser.next_token();
        if !self.word("TENANT") {
            return match self.word("DATABASE") {
                true => Err(SqlError::unsupported("RECOVER DATABASE")),
                false => Err(self.expected("TENANT")),
            };
        }
        let if_exists = self.words(&["IF", "EXISTS"]);
        Ok(Parsed::Tenant(TenantStatement::Recover { name: fold(&self.identifier()?), if_exists }))
    }

    /// What follows `ALTER TENANT`: `t ADD USER u AS r | SET USER u AS r | REMOVE USER u | SET option | UNSET option`
    pub(super) fn alter_tenant(&mut self) -> Result<Parsed, SqlError> {
        let name = fold(&self.identifier()?);
        let alteration = if self.words(&["ADD", "USER"]) {
            let (user, role) = self.user_as_role()?;
            TenantAlteration::AddMember { user, role }
        } else if self.words(&["SET", "USER"]) {
            let (user, role) = self.user_as_role()?;
            TenantAlteration::SetMember { user, role }
        } else if self.words(&["REMOVE", "USER"]) {
            TenantAlteration::RemoveMember { user: fold(&self.identifier()?) }
        } else if self.word("SET") {
            let mut options = TenantOptions::default();
            self.tenant_options(&mut options)?;
            match (options.comment, options.drop_after_ns, options.limiter) {
                (Some(comment), None, None) => TenantAlteration::Comment(Some(comment)),
                (None, Some(after_ns), None) => TenantAlteration::DropAfter(Some(after_ns)),
                (None, None, Some(limiter)) => TenantAlteration::Limiter(Some(limiter)),
                _ => return Err(SqlErrorKind::Tenancy(TenancyError::ManyOptions).into()),
            }
        } else if self.word("UNSET") {
            self.unset_option()?
        } else {
            return Err(self.expected("ADD USER, REMOVE USER, SET or UNSET"));
        };
        Ok(Parsed::Tenant(TenantStatement::Alter { name, alteration }))
    }

    fn unset_option(&mut self) -> Result<TenantAlteration, SqlError> {
        let expected = self.expected("comment, drop_after or _limiter");
        match fold(&self.identifier()?).as_str() {
            "comment" => Ok(TenantAlteration::Comment(None)),
            "drop_after" => Ok(TenantAlteration::DropAfter(None)),
            "_limiter" => Ok(TenantAlteration::Limiter(None)),
            _ => Err(expected),
        }
    }

    fn user_as_role(&mut self) -> Result<(String, String), SqlError> {
        let user = fold(&self.identifier()?);
        if !self.word("AS") {
            return Err(self.expected("AS"));
        }
        Ok((user, fold(&self.identifier()?)))
    }

    /// `comment = '…', drop_after = '…', object_config limit = n …, http_queries limit = n …`
    fn tenant_options(&mut self, options: &mut TenantOptions) -> Result<(), SqlError> {
        loop {
            let option = fold(&self.identifier()?);
            let kind = RequestKind::ALL.into_iter().find(|kind| kind.name() == option);
            match (option.as_str(), kind) {
                ("comment", _) => {
                    let _ = self.parser.consume_token(&Token::Eq);
                    options.comment = Some(self.quoted()?.into());
                }
                ("drop_after", _) => {
                    let _ = self.parser.consume_token(&Token::Eq);
                    options.drop_after_ns = Some(self.delay()?);
                }
                ("object_config", _) => {
                    let told = self.limits()?;
                    let limiter = options.limiter.get_or_insert_with(Limiter::default);
                    limiter.objects = Some(object_limits(&told)?);
                }
                (_, Some(kind)) => {
                    let bucket = bucket(&self.limits()?)?;
                    options.limiter.get_or_insert_with(Limiter::default).requests.insert(kind, bucket);
                }
                (_, None) => return Err(SqlErrorKind::Tenancy(TenancyError::OptionUnknown(option)).into()),
            }
            if !self.parser.consume_token(&Token::Comma) {
                return Ok(());
            }
        }
    }

    /// `name = n …`
    fn limits(&mut self) -> Result<BTreeMap<String, u64>, SqlError> {
        let mut limits = BTreeMap::new();
        while let Token::Word(word) = &self.parser.peek_token_ref().token {
            let name = word.value.to_ascii_lowercase();
            self.parser.next_token();
            let _ = self.parser.consume_token(&Token::Eq);
            let expected = self.expected("a number");
            limits.insert(name, self.text_value()?.parse().map_err(|_| expected)?);
        }
        Ok(limits)
    }

    /// A duration in nanoseconds; [`DROP_NEVER`] for one without end.
    fn delay(&mut self) -> Result<i64, SqlError> {
        let text = self.quoted()?;
        match parse_duration(&text) {
            // What nanoseconds cannot count is refused here: it would be taken for one without end.
            Ok(Some(i64::MAX)) | Err(_) => Err(SqlErrorKind::Duration(text).into()),
            Ok(Some(ns)) => Ok(ns),
            Ok(None) => Ok(DROP_NEVER),
        }
    }

    /// What follows `CREATE ROLE`: `[IF NOT EXISTS] r [INHERIT owner | member]`
    pub(super) fn create_role(&mut self) -> Result<Parsed, SqlError> {
        let if_not_exists = self.words(&["IF", "NOT", "EXISTS"]);
        let role = fold(&self.identifier()?);
        let mut inherits = None;
        if self.word("INHERIT") {
            let expected = self.expected("owner or member");
            inherits = Some(SystemRole::of_name(&fold(&self.identifier()?)).ok_or(expected)?);
        }
        Ok(of_session(TenantAlteration::CreateRole { role, if_not_exists, inherits }))
    }

    /// What follows `DROP ROLE`.
    pub(super) fn drop_role(&mut self) -> Result<Parsed, SqlError> {
        let if_exists = self.words(&["IF", "EXISTS"]);
        Ok(of_session(TenantAlteration::DropRole { role: fold(&self.identifier()?), if_exists }))
    }

    /// `GRANT READ | WRITE | ALL ON DATABASE d TO [ROLE] r`
    pub(super) fn grant(&mut self) -> Result<Parsed, SqlError> {
        self.parser.next_token();
        let (role, database, access) = self.privilege("TO")?;
        Ok(of_session(TenantAlteration::Grant { role, database, access }))
    }

    /// `REVOKE READ | WRITE | ALL ON DATABASE d FROM [ROLE] r`
    pub(super) fn revoke(&mut self) -> Result<Parsed, SqlError> {
        self.parser.next_token();
        let (role, database, access) = self.privilege("FROM")?;
        Ok(of_session(TenantAlteration::Revoke { role, database, access }))
    }

    fn privilege(&mut self, to: &str) -> Result<(String, String, Access), SqlError> {
        let access = if self.word("READ") {
            Access::READ
        } else if self.word("WRITE") {
            Access::READ | Access::WRITE
        } else if self.word("ALL") || self.word("FULL") {
            Access::ALL
        } else {
            return Err(self.expected("READ, WRITE or ALL"));
        };
        if !self.words(&["ON", "DATABASE"]) {
            return Err(self.expected("ON DATABASE"));
        }
        let database = fold(&self.identifier()?);
        if !self.word(to) {
            return Err(self.expected(to));
        }
        // A role may be called so.
        let next = &self.parser.peek_nth_token_ref(1).token;
        if !matches!(next, Token::EOF | Token::SemiColon) {
            let _ = self.word("ROLE");
        }
        Ok((fold(&self.identifier()?), database, access))
    }
}

/// What is said of roles is said of those of the session's tenant, whose name is put in when the statement is bound.
fn of_session(alteration: TenantAlteration) -> Parsed {
    Parsed::Tenant(TenantStatement::Alter { name: String::new(), alteration })
}

fn object_limits(told: &BTreeMap<String, u64>) -> Result<ObjectLimits, SqlError> {
    let mut limits = ObjectLimits::default();
    for (name, limit) in told {
        let place = match name.as_str() {
            "max_users_number" => &mut limits.users_max,
            "max_databases" => &mut limits.databases_max,
            "max_shard_number" => &mut limits.shards_max,
            "max_replicate_number" | "max_replica_number" => &mut limits.replicas_max,
            "max_retention_time" => &mut limits.retention_days_max,
            _ => return Err(SqlErrorKind::Tenancy(TenancyError::LimitUnknown(name.clone())).into()),
        };
        *place = Some(*limit);
    }
    Ok(limits)
}

fn bucket(told: &BTreeMap<String, u64>) -> Result<Bucket, SqlError> {
    const NAMES: [&str; 6] =
        ["remote_max", "remote_initial", "remote_refill", "remote_interval", "local_max", "local_initial"];
    if let Some(name) = told.keys().find(|name| !NAMES.contains(&name.as_str())) {
        return Err(SqlErrorKind::Tenancy(TenancyError::LimitUnknown(name.clone())).into());
    }
    let missing: Vec<&'static str> = NAMES.into_iter().filter(|name| !told.contains_key(*name)).collect();
    if !missing.is_empty() {
        return Err(SqlErrorKind::Tenancy(TenancyError::LimitsMissing(missing)).into());
    }
    let limit = |name: &str| told.get(name).copied().unwrap_or_default();
    let bucket = Bucket {
        remote_max: limit("remote_max"),
        remote_initial: limit("remote_initial"),
        remote_refill: limit("remote_refill"),
        remote_interval: limit("remote_interval"),
        local_max: limit("local_max"),
        local_initial: limit("local_initial"),
    };
    match bucket.remote_interval {
        0 => Err(SqlErrorKind::OptionZero("remote_interval".to_owned()).into()),
        _ => Ok(bucket),
    }
}
